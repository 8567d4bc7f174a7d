/** Whether this kernel preempts tasks inside the kernel. */
import { readFileSync } from 'node:fs';
import { version } from 'node:os';

/** Has the current model in parentheses (kernel/sched/debug.c). Only for root, and needs debugfs. */
const MODELS = '/sys/kernel/debug/sched/preempt';

/** True where it cannot be found out. */
export function isPreemptible(): boolean {
  let models = '';
  try {
    models = readFileSync(MODELS, 'latin1');
  } catch {
    // The model cannot be chosen on this kernel, or debugfs is missing.
  }
  return tellsPreemptible(version(), models);
}

/**
 * @param build `version` of uname(2): "#1 SMP PREEMPT_DYNAMIC ..."
 * @param models "none (voluntary) full lazy", or '' if it cannot be read
 */
export function tellsPreemptible(build: string, models: string): boolean {
  if (/\bPREEMPT_DYNAMIC\b/.test(build)) return !/\((none|voluntary)\)/.test(models);
  return /\bPREEMPT/.test(build);
}
