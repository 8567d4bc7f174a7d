/** Whether this kernel takes the CPU from tasks while they are inside it. */
import { readFileSync } from 'node:fs';
import { version } from 'node:os';

/** The model in use stands in parentheses (kernel/sched/debug.c). Root's; needs debugfs. */
const MODELS = '/sys/kernel/debug/sched/preempt';

/** Where it cannot be told, that it does. */
export function isPreemptible(): boolean {
  let models = '';
  try {
    models = readFileSync(MODELS, 'latin1');
  } catch {
    // Not built so that it can be chosen, or no debugfs.
  }
  return tellsPreemptible(version(), models);
}

/**
 * @param build as uname(2) has it in `version`: "#1 SMP PREEMPT_DYNAMIC ..."
 * @param models "none (voluntary) full lazy", or '' if it cannot be read
 */
export function tellsPreemptible(build: string, models: string): boolean {
  if (/\bPREEMPT_DYNAMIC\b/.test(build)) return !/\((none|voluntary)\)/.test(models);
  return /\bPREEMPT/.test(build);
}
