/** `bpfns self-check`, for probes: exits with 0 if calls are answered, and with 1 if they fail or hang. */
import { spawnSync } from 'node:child_process';
import { AgentClient } from '../control/client.js';
import { ownProgram } from '../control/own-program.js';
import { whoAnswers } from '../filter/own-command.js';
import { keeperAnswers } from '../supervisor/keeper-client.js';
import { CliError } from './cli-error.js';

/** How long an answer may take, in ms. */
const PATIENCE = 3000;
/** Exit statuses of {@link checkOnce}. */
const statuses = { agent: 0, lost: 3, host: 4, nobody: 5 } as const;

/** @throws CliError with the reason */
export async function selfCheck(what: 'calls' | 'keeper'): Promise<void> {
  if (what === 'keeper') {
    if (!(await keeperAnswers())) throw new CliError('no keeper is running');
    return;
  }
  // An unanswered call hangs its thread, so a child process that can be killed makes it.
  const { status, signal } = spawnSync(...ownProgram('self-check', '--once'), {
    stdio: 'ignore',
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
  if (signal !== null) throw new CliError(`the agent has not answered within ${PATIENCE} ms`);
  if (status === statuses.host) return checkAgent();
  if (status === statuses.nobody) throw new CliError('nothing answers: calls fail with ENOSYS. Restart the container');
  if (status === statuses.lost) {
    throw new CliError(
      'the listener of this container is lost: calls of its first processes fail with ENOSYS. Restart it',
    );
  }
  if (status !== statuses.agent) throw new CliError(`the check itself has failed, with exit status ${status}`);
}

/** Makes one call, which shows who answers, and exits. */
export function checkOnce(): never {
  process.exit(statuses[whoAnswers()]);
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
