/**
 * `bpfns daemon`: a new supervisor takes the listeners and the journal from a running agent, which
 * then exits. It replaces an agent that a command started and, with `--replace`, any agent. Calls
 * wait as during a restart, and none fails.
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
  /** Whether to replace any agent, not only one that a command started. */
  readonly replace: boolean;
  readonly whenReplaced: WhenReplaced;
  /** Called before anything is taken over. Throws if the new daemon could not go on. */
  readonly mayTakeOver: () => void;
  /** Called with the agent that is replaced without `--replace`. */
  readonly onTakeOver: (pid: number) => void;
}

/**
 * Runs agents that stay when idle. @throws AgentError if another daemon runs and is not to be
 * replaced; SyscallError
 */
export async function daemonMain(agentArguments: readonly string[], options: DaemonOptions): Promise<void> {
  const running = await AgentClient.connect();
  if (running) {
    await requireReplaceable(running, options);
    // Takes seconds, and the agent does not keep an idle connection that long.
    running.close();
    options.mayTakeOver();
  }
  for (const since = Date.now(); Date.now() - since < ANSWER; await pause(PAUSE)) {
    const client = await AgentClient.connect();
    if (client) return takePlace(client, agentArguments, options);
    // Otherwise another supervisor is starting or exiting, or its agent has crashed.
    if (await supervise(undefined, agentArguments, options.whenReplaced)) return;
  }
  throw new AgentError('ETIMEDOUT', `another supervisor has the lock of ${runDir}, and its agent does not answer`);
}

/** @throws AgentError if the agent is a daemon, and is not to be replaced */
async function requireReplaceable(client: AgentClient, { replace }: DaemonOptions): Promise<void> {
  if (replace) return;
  const { pid, isDaemon } = await answered(client.ask<StatusReply>({ op: 'status' }));
  if (isDaemon === false) return;
  throw new AgentError('EBUSY', `a daemon is running (process ${pid}); 'bpfns daemon --replace' takes its place`);
}

async function takePlace(
  client: AgentClient,
  agentArguments: readonly string[],
  options: DaemonOptions,
): Promise<void> {
  await requireReplaceable(client, options);
  const reply = await answered(client.ask<HandoverReply>({ op: 'handover' }));
  if (!options.replace) options.onTakeOver(reply.pid);
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
