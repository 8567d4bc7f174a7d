/**
 * bpfns' own command of bpf(2), which only the agent answers: its input, and how a process in a
 * namespace calls it.
 */
import { bpf } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { addressOf, SYS, syscallClone3 } from '../sys/libc.js';

/** The RFC's CLONE_NEWBPF is bit 34. This is the bit in the upper half of the flags. */
export const CLONE_NEWBPF_HIGH = 1 << 2;

/**
 * A bpf(2) command that no kernel has. In a namespace it is trapped; outside it fails with EINVAL.
 * The offsets of its attr, and its flags: without `tell` it moves the caller into a new child with
 * the given name; with `tell` it fills the room of the name with JSON (OwnNamespace).
 */
export const OWN_NAMESPACE = {
  command: 0xb9f5,
  flags: 0,
  nameLength: 4,
  name: 8,
  sizeof: 16,
  pinsAny: 1,
  tell: 2,
} as const;

/** What a process may know about the namespace that it is in. */
export interface OwnNamespace {
  readonly id: number;
  readonly name: string;
  readonly level: number;
  /** Of the container that this process is in: calls of its earlier processes fail, as nothing has their listener. */
  readonly isLost: boolean;
}

/**
 * Moves the calling process into a new child of its namespace.
 * @returns 0, or -errno: EINVAL outside any namespace, where no agent answers and no kernel knows
 *   the command; EPERM without CAP_BPF; ENOSPC at a limit; EEXIST if a sibling has the name
 */
export function enterChild(name: string, pins: 'own' | 'any'): number {
  return askOwn(pins === 'any' ? OWN_NAMESPACE.pinsAny : 0, Buffer.from(name));
}

/** The namespace of this process; undefined on the host. */
/** The namespace this process is in; undefined on the host. */
export function ownNamespace(): OwnNamespace | undefined {
  const found = tell();
  return typeof found === 'object' ? found : undefined;
}

/**
 * Who answers the calls of this process. 'lost': the agent, but not those of the container's earlier processes.
 * 'nobody': there is a filter, and no listener. Hangs if the agent does.
 */
export function whoAnswers(): 'host' | 'agent' | 'lost' | 'nobody' {
  const found = tell();
  if (typeof found === 'object') return found.isLost ? 'lost' : 'agent';
  return found === -E.ENOSYS ? 'nobody' : 'host';
}

function tell(): OwnNamespace | number {
  const text = Buffer.alloc(256);
  const length = askOwn(OWN_NAMESPACE.tell, text);
  return length > 0 ? (JSON.parse(text.toString('utf8', 0, length)) as OwnNamespace) : length;
}

function askOwn(flags: number, name: Buffer): number {
  const attr = Buffer.alloc(OWN_NAMESPACE.sizeof);
  attr.writeUInt32LE(flags, OWN_NAMESPACE.flags);
  attr.writeUInt32LE(name.length, OWN_NAMESPACE.nameLength);
  if (name.length > 0) attr.writeBigUInt64LE(addressOf(name), OWN_NAMESPACE.name);
  return bpf(OWN_NAMESPACE.command, attr, attr.length);
}

/**
 * Whether the kernel uses bit 34 of clone3()'s flags itself (7.1: CLONE_AUTOREAP). The probe
 * creates no child: it passes the bit together with CLONE_INTO_CGROUP and a bad fd, which the
 * kernel checks only if it knows all bits.
 */
export function kernelUsesBit34(): boolean {
  const CLONE_INTO_CGROUP_HIGH = 1 << 1;
  const BAD_FD = 0x7fffffff;
  const args = Buffer.alloc(88);
  args.writeUInt32LE(CLONE_NEWBPF_HIGH | CLONE_INTO_CGROUP_HIGH, 4);
  args.writeUInt32LE(BAD_FD, 80);
  return syscallClone3(SYS.clone3, args, args.length) === -E.EBADF;
}
