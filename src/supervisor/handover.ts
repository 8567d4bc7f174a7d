/**
 * `bpfns daemon --replace`: a new supervisor takes the listeners and the journal from the running
 * agent, which then ends. Calls wait as during a restart, and none fails.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { AgentClient, AgentError } from '../control/client.js';
import type { HandoverReply } from '../control/protocol.js';
import { takeOver } from './estate.js';
import { closeStored } from './fd-store.js';
import { takeLock } from './lock.js';
import { Supervisor, supervisorMain } from './supervisor.js';

/** How long the earlier supervisor may take to exit before it is killed, in ms. Its agent is gone by then. */
const PATIENCE = 5000;
const PAUSE = 10;
/** How long the agent may take to hand everything over, in ms. */
const ANSWER = 10_000;

/** Like {@link supervisorMain}, but replaces an agent that may be running. @throws AgentError, SyscallError */
export async function replaceMain(agentArguments: readonly string[]): Promise<void> {
  const client = await AgentClient.connect();
  if (!client) return supervisorMain(undefined, agentArguments);
  const reply = await Promise.race([client.ask<HandoverReply>({ op: 'handover' }), tooLong()]);
  // From here on the calls of all guests wait for this process.
  const estate = takeOver(reply);
  closeStored();
  await client.ask({ op: 'release' });
  client.close();
  new Supervisor(await lockAfter(reply.supervisor), agentArguments, estate).start(undefined);
}

async function tooLong(): Promise<never> {
  await pause(ANSWER);
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
