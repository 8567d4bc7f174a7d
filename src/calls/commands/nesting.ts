/**
 * New namespaces asked for from inside: clone3(2) and unshare(2) with the RFC's flag, and
 * the bpf(2) command of our own that a nested `bpfns run` uses. Each makes a child of the
 * caller's namespace; none leads anywhere else.
 */

import { CLONE_NEWBPF_HIGH, OWN_NAMESPACE, type OwnNamespace } from '../../filter/own-command.js';
import { INIT, namespaceId } from '../../model/ids.js';
import { nameProblem } from '../../model/names.js';
import type { Namespace } from '../../model/namespaces.js';
import type { Member } from '../../recorder/inspector.js';
import { BPFNS_NAME_LEN } from '../../sys/contract.gen.js';
import { E } from '../../sys/errno.js';
import { readMemory } from '../../sys/memory.js';
import { readPointer } from '../../sys/seccomp.js';
import { CLONE_NEWUSER, userIdOf } from '../../sys/task.js';
import type { Call, Reply } from '../call.js';
import type { Context } from '../services.js';

const FLAGS_LOW = 0;
const FLAGS_HIGH = 4;
const flags = Buffer.alloc(8);
/** Threads that were given a namespace for their next child and have not been seen since. */
const marked = new Set<number>();

/** After a crash: whom an earlier agent had marked. */
export function restoreMarks(members: readonly Member[]): void {
  for (const { tid, next } of members) if (next !== INIT) marked.add(tid);
}

/**
 * Most clone3() calls are none of ours: decided from the flags alone. CONTINUE is right
 * for them: a flag set after this look is one the kernel does not know (EINVAL), or means
 * something else (7.1), where this trap is not in place.
 */
export function isPlainClone(tid: number, address: number): boolean {
  if (readMemory(tid, address, flags, flags.length) < flags.length) return true; // the kernel says EFAULT itself
  return (flags.readUInt32LE(FLAGS_HIGH) & CLONE_NEWBPF_HIGH) === 0 && !marked.has(tid);
}

/** `call.attr` is struct clone_args. The flag is taken out and the kernel does the rest. */
export function clone3(call: Call, context: Context): Reply {
  const high = call.attr.readUInt32LE(FLAGS_HIGH);
  // After a crash the flag may be out already, while the mark counts.
  if ((high & CLONE_NEWBPF_HIGH) === 0 && context.journal.serving.child === 0) {
    // An earlier clone3() of this thread failed in the kernel: its mark must not fall to this child.
    marked.delete(call.tid);
    context.mirror.setNext(call.tid, call.namespace.id, INIT);
    return 'continue';
  }
  if ((call.attr.readUInt32LE(FLAGS_LOW) & CLONE_NEWUSER) !== 0) return -E.EINVAL;
  const child = createChild(call, context, '', false);
  if (typeof child === 'number') return child;
  marked.add(call.tid);
  const result = context.mirror.setNext(call.tid, call.namespace.id, child.id);
  if (result < 0) return -E.ENOMEM;
  return call.writeAttr(FLAGS_HIGH, high & ~CLONE_NEWBPF_HIGH) ? 'continue' : -E.EFAULT;
}

/**
 * The caller itself moves at once, as in the RFC. Other flags beside ours cannot be
 * honoured: they are in a register, out of an agent's reach.
 */
export function unshare(call: Call, context: Context, flagsLow: number, flagsHigh: number): Reply {
  if (flagsLow !== 0 || flagsHigh !== CLONE_NEWBPF_HIGH) return -E.EINVAL;
  const child = createChild(call, context, '', false);
  return typeof child === 'number' ? child : enter(call, context, child);
}

/** struct { u32 flags; u32 name_length; u64 name }: enter a new child, perhaps with a name, or tell of one's own. */
export function ownNamespace(call: Call, context: Context): Reply {
  const requested = call.attr.readUInt32LE(OWN_NAMESPACE.flags);
  const length = call.attr.readUInt32LE(OWN_NAMESPACE.nameLength);
  if (call.hasUnknownBits(OWN_NAMESPACE.sizeof)) return -E.EINVAL;
  if (requested === OWN_NAMESPACE.tell) return tell(call, length);
  if ((requested & ~OWN_NAMESPACE.pinsAny) !== 0 || length >= BPFNS_NAME_LEN) return -E.EINVAL;
  // What a namespace may not open, its child may not either.
  if (requested !== 0 && !call.namespace.spec.pinsAny) return -E.EPERM;
  const name = Buffer.alloc(length);
  if (length > 0 && !call.read(readPointer(call.attr, OWN_NAMESPACE.name), name, length)) return -E.EFAULT;
  const text = name.toString('latin1');
  if (text !== '' && nameProblem(text)) return -E.EINVAL;
  const child = createChild(call, context, text, requested !== 0);
  return typeof child === 'number' ? child : enter(call, context, child);
}

/** The length of the answer; names of ancestors are not the caller's business. */
function tell(call: Call, room: number): Reply {
  const { id, level, spec } = call.namespace;
  const text = Buffer.from(JSON.stringify({ id, name: spec.name, level } satisfies OwnNamespace));
  if (text.length > room) return -E.ENOSPC;
  return call.write(readPointer(call.attr, OWN_NAMESPACE.name), text, text.length) ? text.length : -E.EFAULT;
}

/** The child of this call: made once, however often agents die over it. */
function createChild(
  call: Call,
  { lifecycle, mirror, journal: { serving } }: Context,
  name: string,
  pinsAny: boolean,
): Namespace | number {
  const earlier = serving.child === 0 ? undefined : mirror.model.get(namespaceId(serving.child));
  if (earlier) return earlier;
  if (!call.mayMakeNamespace) return -E.EPERM;
  // As create_pid_namespace(): from elsewhere in the tree of user namespaces it makes no sense.
  if (!call.isWithinOwner) return -E.EINVAL;
  serving.child = mirror.nextNamespace;
  return lifecycle.create(call.namespace, {
    name,
    pinsAny,
    userNs: call.userNs,
    ownerUid: userIdOf(call.tid),
    keep: false,
    maxNamespaces: 0,
  });
}

function enter(call: Call, { mirror }: Context, child: Namespace): Reply {
  const result = mirror.enterThread(call.tid, child);
  return result === 0 || result === -E.ESRCH ? result : -E.ENOMEM;
}
