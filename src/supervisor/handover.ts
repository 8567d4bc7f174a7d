/**
 * `bpfns daemon`: if an agent runs that a command started, or with `--replace` any, a new supervisor takes the listeners and the journal from the running
 * agent, which then ends. Calls wait as during a restart, and none fails.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { runDir } from '../config/paths.js';
import { AgentClient, AgentError } from '../control/client.js';
import type { HandoverReply, StatusReply } from '../control/protocol.js';
import { takeOver } from './estate.js';
import { closeStored } from './fd-store.js';
import { takeLock } from './lock.js';
import type { WhenReplaced } from './protocol.js';
import { Supervisor, supervise } from './supervisor.js';

/** How long the earlier supervisor may take to exit before it is killed, in ms. Its agent is gone by then. */
const PATIENCE = 5000;
const PAUSE = 10;
/** How long the agent may take to hand everything over, in ms. */
const ANSWER = 10_000;

export interface DaemonOptions {
  /** Take the place of any agent, not only of one that a command has started. */
  readonly replace: boolean;
  readonly whenReplaced: WhenReplaced;
  /** Told of the agent whose place is taken unasked. */
  readonly onTakeOver: (pid: number) => void;
}

/** Runs agents that stay. @throws AgentError if there is a daemon that is not to be replaced; SyscallError */
export async function daemonMain(agentArguments: readonly string[], options: DaemonOptions): Promise<void> {
  for (const since = Date.now(); Date.now() - since < ANSWER; await pause(PAUSE)) {
    const client = await AgentClient.connect();
    if (client) return takePlace(client, agentArguments, options);
    // Else another supervisor is starting or exiting, or its agent has crashed.
    if (await supervise(undefined, agentArguments, options.whenReplaced)) return;
  }
  throw new AgentError('ETIMEDOUT', `another supervisor has the lock of ${runDir}, and its agent does not answer`);
}

async function takePlace(
  client: AgentClient,
  agentArguments: readonly string[],
  options: DaemonOptions,
): Promise<void> {
  if (!options.replace) {
    const { pid, isDaemon } = await answered(client.ask<StatusReply>({ op: 'status' }));
    if (isDaemon !== false) {
      throw new AgentError('EBUSY', `a daemon is running (process ${pid}); 'bpfns daemon --replace' takes its place`);
    }
    options.onTakeOver(pid);
  }
  const reply = await answered(client.ask<HandoverReply>({ op: 'handover' }));
  // From here on the calls of all guests wait for this process.
  const estate = takeOver(reply);
  closeStored();
  await client.ask({ op: 'release' });
  client.close();
  new Supervisor(await lockAfter(reply.supervisor), agentArguments, estate, options.whenReplaced).start(undefined);
}

function answered<T>(answer: Promise<T>): Promise<T> {
  return Promise.race([answer, tooLong()]);
}

async function tooLong(): Promise<never> {
  await pause(ANSWER, undefined, { ref: false });
  throw new AgentError('ETIMEDOUT', 'the agent that runs does not answer: kill -9 it, its supervisor starts another');
}

async function lockAfter(supervisor: number): Promise<number> {
  for (const since = Date.now(); ; ) {
    const lock = takeLock();
    if (lock !== undefined) return lock;
    if (Date.now() - since > PATIENCE) endForGood(supervisor);
    await pause(PAUSE);
  }
}

function endForGood(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has exited.
  }
}
