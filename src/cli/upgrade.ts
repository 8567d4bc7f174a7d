/** Whether this version can go on with what another one has in place, see docs/decisions/0023-upgrade.md. */
import { spawnSync } from 'node:child_process';
import { ownProgram } from '../control/own-program.js';
import { rehearse } from '../recorder/carry-over.js';
import { isOfThisVersion } from '../recorder/state.js';
import { CliError } from './cli-error.js';

/** `bpfns daemon --check-upgrade`. @throws Error with the reason why not */
export function checkUpgrade(): void {
  const objects = rehearse();
  process.stdout.write(
    objects === undefined
      ? 'there is nothing to carry over: what is in place, if anything, is of this version\n'
      : `this version can take over, with the records of ${objects} objects\n`,
  );
}

/**
 * Called before an agent is stopped: one that could not go on would leave its guests waiting. What is tried needs
 * memory that a daemon has no use for later, so another process does it. @throws CliError with the reason
 */
export function mayTakeOver(): void {
  if (isOfThisVersion()) return;
  const [program, args] = ownProgram('daemon', '--check-upgrade');
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new CliError(stderr.trim().replace(/^bpfns: /, ''));
}
