/** Mounts a bpffs from which the command creates BPF tokens, where libbpf looks for one. */
import { readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import type { AgentClient } from '../control/client.js';
import type { DelegateReply } from '../control/protocol.js';
import { mountContext, openContext } from '../sys/new-mount.js';
import { sendSignal } from '../sys/task.js';
import { enterMountNamespace, keepMounts, leaveMountNamespace } from './mounts.js';

const BPFFS = '/sys/fs/bpf';

/**
 * In a mount namespace of this process. The file system belongs to this process's user namespace.
 * @param what as model/delegation.ts reads it @throws SyscallError, AgentError
 */
export async function mountDelegation(agent: AgentClient, what: string): Promise<void> {
  leaveMountNamespace();
  keepMounts(BPFFS);
  await mountDelegationAt(agent, what, BPFFS);
}

/** In the mount namespace that this process is in. @throws SyscallError, AgentError */
export async function mountDelegationAt(agent: AgentClient, what: string, place: string): Promise<void> {
  using context = openContext('bpf');
  await agent.ask<DelegateReply>({ op: 'delegate', context: context.number, what });
  mountContext(context, place);
}

/** What the agent gives its helper, besides the standard streams; 3 was the user namespace. */
const MOUNTS = 4;
const CONTAINER = 5;

/**
 * The helper of agent/container-bpffs.ts, in the user namespace of a container. It loads nothing
 * more once it is in the container's mount namespace, and opens no file there.
 * @throws SyscallError
 */
export function mountInContainer(): void {
  try {
    enterMountNamespace(MOUNTS);
    using context = openContext('bpf');
    writeSync(1, `${context.number}\n`);
    const answer = Buffer.alloc(16);
    if (readSync(0, answer) > 0) mountContext(context, BPFFS);
  } finally {
    // The agent has stopped it, and may have died.
    sendSignal({ number: CONTAINER }, constants.signals.SIGCONT);
  }
}
