/** Options that several commands take. */
import { Option } from 'commander';

export const pinsOption = (): Option =>
  new Option('--pins <which>', "which pins may be opened: those of the namespace's own objects, or any")
    .choices(['own', 'any'])
    .default('own');

export const tracingOption = (text: string): Option =>
  new Option('--tracing <mode>', text).choices(['host', 'own', 'filtered', 'none']);

export const noStatsOption = (): Option =>
  new Option(
    '--no-stats',
    'programs inside may not make the kernel count the run time of all programs (BPF_ENABLE_STATS)',
  );
