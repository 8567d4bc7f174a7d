/**
 * clone3(2) with the RFC's flag: the child starts in a new namespace below the caller's.
 *
 * Every 'continue' here is sound whatever flags another thread writes after the agent's look:
 * - The kernel, with the caller's own rights, decides on all flags that it knows. Nothing else would
 *   have filtered them: the filter of `bpfns run` allows every clone3(), `bpfns profile --nesting`
 *   refuses a base that does not, and a refusal by another filter comes first.
 * - Our flag, written late, is unknown to the kernel (EINVAL), or means something else (7.1), and
 *   then the agent sees no clone3().
 * - With a mark set, the child starts in a namespace that the caller was allowed to make, whichever
 *   flags it has. An unshare() in the child gives no less: CLONE_THREAD and CLONE_VM split a process
 *   as an unshare() of one thread does, and with CLONE_NEWUSER the child has no rights over its
 *   namespace.
 */
import { CLONE_NEWBPF_HIGH } from '../../filter/own-command.js';
import { INIT } from '../../model/ids.js';
import type { Member } from '../../recorder/inspector.js';
import { MAX_STRUCT } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { CLONE_NEWUSER } from '../../sys/task.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';
import { createChild } from './child.js';

/** The kernel refuses smaller structures (EINVAL). */
const CLONE_ARGS_SIZE_VER0 = 64;
const FLAGS_LOW = 0;
const FLAGS_HIGH = 4;
const flags = Buffer.alloc(8);
/** Threads that have a mark for their next child and have not been seen since. Only a hint. */
const marked = new Set<number>();

/** Restores the marked threads of an earlier agent after a crash. */
export function restoreMarks(members: readonly Member[]): void {
  for (const { tid, next } of members) if (next !== INIT) marked.add(tid);
}

/** Most clone3() calls do not have our flag, which the flags alone tell. */
export function readCloneArgs(call: Call): Reply | undefined {
  const address = call.notification.pointer(0);
  const size = call.notification.argument(1);
  if (call.child === 0 && isPlain(call, address)) return 'continue';
  // The kernel itself refuses a size that is too small or too large. The size is in a register.
  const isHigh = call.notification.argumentHigh(1) !== 0;
  if (size < CLONE_ARGS_SIZE_VER0 || size > MAX_STRUCT || isHigh) return 'continue';
  // EFAULT; or with memory mapped meanwhile, a clone3() without our flag.
  if (call.readAttr(address, size) < size) return 'continue';
  call.size = size;
  return undefined;
}

function isPlain({ caller }: Call, address: number): boolean {
  if (caller.peek(address, flags, flags.length) < flags.length) return true; // the kernel itself fails with EFAULT
  return (flags.readUInt32LE(FLAGS_HIGH) & CLONE_NEWBPF_HIGH) === 0 && !marked.has(caller.hint);
}

/** `call.attr` is struct clone_args. Clears the flag, and lets the kernel do the rest. */
export function clone3(call: Call, services: Services): Reply {
  const { caller, namespace } = call;
  const high = call.attr.readUInt32LE(FLAGS_HIGH);
  // After a crash the flag may be cleared already, while the mark is valid.
  if ((high & CLONE_NEWBPF_HIGH) === 0 && call.child === 0) {
    // An earlier clone3() of this thread failed in the kernel. Its mark must not go to this child.
    marked.delete(caller.hint);
    caller.task.write({ ns: namespace.id, next: INIT });
    return 'continue';
  }
  if ((call.attr.readUInt32LE(FLAGS_LOW) & CLONE_NEWUSER) !== 0) return -E.EINVAL;
  const child = createChild(call, services, { name: '', pinsAny: false });
  marked.add(caller.hint);
  if (caller.task.write({ ns: namespace.id, next: child.id }) < 0) return -E.ENOMEM;
  // If the flag is set again, the kernel fails with EINVAL, and the mark waits for the next child.
  return call.writeAttr(FLAGS_HIGH, high & ~CLONE_NEWBPF_HIGH) ? 'continue' : -E.EFAULT;
}
