/** Whether this process is in a namespace already, and making a child of it without the host's help. */
import { bpf } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { addressOf, SYS, syscallClone3 } from '../sys/libc.js';
import { CLONE_NEWBPF_HIGH, OWN_NAMESPACE, type OwnNamespace } from '../sys/task.js';

/**
 * Moves the calling process into a new child of its namespace. 0, or -errno: EINVAL where
 * there is no agent behind the call (outside any namespace; no kernel knows the command),
 * EPERM without CAP_BPF, ENOSPC at a limit, EEXIST if a sibling has the name.
 */
export function enterChild(name: string, pins: 'own' | 'any'): number {
  return askOwn(pins === 'any' ? OWN_NAMESPACE.pinsAny : 0, Buffer.from(name));
}

/** The namespace this process is in; undefined on the host. */
export function ownNamespace(): OwnNamespace | undefined {
  const text = Buffer.alloc(256);
  const length = askOwn(OWN_NAMESPACE.tell, text);
  return length > 0 ? (JSON.parse(text.toString('utf8', 0, length)) as OwnNamespace) : undefined;
}

function askOwn(flags: number, name: Buffer): number {
  const attr = Buffer.alloc(OWN_NAMESPACE.sizeof);
  attr.writeUInt32LE(flags, OWN_NAMESPACE.flags);
  attr.writeUInt32LE(name.length, OWN_NAMESPACE.nameLength);
  if (name.length > 0) attr.writeBigUInt64LE(addressOf(name), OWN_NAMESPACE.name);
  return bpf(OWN_NAMESPACE.command, attr, attr.length);
}

/**
 * Whether the kernel gives bit 34 of clone3()'s flags a meaning of its own (7.1:
 * CLONE_AUTOREAP). Told apart without making a child: the bit goes together with
 * CLONE_INTO_CGROUP and a bad fd, which is looked at only if all bits are known.
 */
export function kernelUsesBit34(): boolean {
  const CLONE_INTO_CGROUP_HIGH = 1 << 1;
  const BAD_FD = 0x7fffffff;
  const args = Buffer.alloc(88);
  args.writeUInt32LE(CLONE_NEWBPF_HIGH | CLONE_INTO_CGROUP_HIGH, 4);
  args.writeUInt32LE(BAD_FD, 80);
  return syscallClone3(SYS.clone3, args, args.length) === -E.EBADF;
}
