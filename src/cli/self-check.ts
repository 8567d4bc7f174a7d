/** `bpfns self-check`, for probes: exit status 0 if calls are answered, 1 if they fail or hang. */
import { spawnSync } from 'node:child_process';
import { AgentClient } from '../control/client.js';
import { ownProgram } from '../control/own-program.js';
import { askOwnNamespace } from '../filter/own-command.js';
import { keeperAnswers } from '../supervisor/keeper-client.js';
import { E } from '../sys/errno.js';
import { CliError } from './cli-error.js';

/** How long an answer may take, in ms. */
const PATIENCE = 3000;
/** What a call in a namespace gives: exit statuses of {@link checkOnce}. */
const Outcome = { answered: 0, lost: 3, host: 4, noAgent: 5 } as const;

/** @throws CliError saying what is wrong */
export async function selfCheck(what: 'calls' | 'keeper'): Promise<void> {
  if (what === 'keeper') {
    if (!(await keeperAnswers())) throw new CliError('no keeper is running');
    return;
  }
  // A call that is not answered hangs its thread: that of a process which can be killed.
  const { status, signal } = spawnSync(...ownProgram('self-check', '--once'), {
    stdio: 'ignore',
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
  if (signal !== null) throw new CliError(`the agent has not answered within ${PATIENCE} ms`);
  if (status === Outcome.host) return checkAgent();
  if (status === Outcome.noAgent) throw new CliError('nothing answers: calls fail with ENOSYS. Restart the container');
  if (status === Outcome.lost) {
    throw new CliError(
      'the listener of this container is lost: calls of its first processes fail with ENOSYS. Restart it',
    );
  }
  if (status !== Outcome.answered) throw new CliError(`the check itself has failed, with exit status ${status}`);
}

/** Makes one call, which tells where this process is, and exits. */
export function checkOnce(): never {
  const found = askOwnNamespace();
  if (typeof found === 'object') process.exit(found.isLost ? Outcome.lost : Outcome.answered);
  process.exit(found === -E.ENOSYS ? Outcome.noAgent : Outcome.host);
}

async function checkAgent(): Promise<void> {
  const client = await AgentClient.connect();
  if (!client) throw new CliError('no agent is running');
  const timer = setTimeout(() => client.close(), PATIENCE);
  try {
    await client.ask({ op: 'status' });
  } finally {
    clearTimeout(timer);
    client.close();
  }
}
