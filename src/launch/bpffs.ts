/** Mounts a bpffs from which the command creates BPF tokens, where libbpf looks for one. */
import type { AgentClient } from '../control/client.js';
import type { DelegateReply } from '../control/protocol.js';
import { mountContext, openContext } from '../sys/new-mount.js';
import { keepMounts, leaveMountNamespace } from './mounts.js';

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
