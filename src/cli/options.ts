/** Options that several commands take. */
import { InvalidArgumentError, Option } from 'commander';
import { parseDelegation } from '../model/delegation.js';

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

export const delegateOption = (): Option =>
  new Option(
    '--delegate <what>',
    'what BPF tokens may do inside, in a user namespace: any, or cmds=,maps=,progs=,attachs= with names joined by colons',
  ).argParser(delegation);

function delegation(text: string): string {
  if (!parseDelegation(text)) throw new InvalidArgumentError("write 'any', or 'cmds=map_create:prog_load,maps=any'.");
  return text;
}
