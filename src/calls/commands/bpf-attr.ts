/** Reads the attr of bpf(2) before the command runs. */
import { MAX_STRUCT } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { type Call, hasSetByte, type Reply } from '../call.js';
import type { Services } from '../services.js';

/** A flag in the upper half of the command. */
const COMMON_ATTRS = 1;
/** The size of struct bpf_common_attr in Linux 7.2, up to the end of its last field. */
const COMMON_END = 20;
const common = Buffer.alloc(MAX_STRUCT);

/**
 * Like __sys_bpf() (kernel/bpf/syscall.c): extends attr with zeros, and fails with E2BIG for a set
 * byte behind what the kernel knows.
 */
export function readBpfAttr(call: Call, { facts }: Services): Reply | undefined {
  const command = call.notification.argument(0);
  const size = call.notification.argument(2);
  if (size > MAX_STRUCT) return -E.E2BIG;
  const done = call.readAttr(call.notification.pointer(1), size);
  if (hasSetByte(call.attr, facts.attrSize, done)) return -E.E2BIG;
  if (done < size) return -E.EFAULT;
  const flags = command >>> 16;
  if ((flags & COMMON_ATTRS) !== 0 && facts.hasCommonAttrs) {
    const status = checkCommonAttributes(call);
    if (status < 0) return status;
  }
  if (flags !== 0 && !(flags === COMMON_ATTRS && facts.hasCommonAttrs)) return -E.EINVAL;
  call.size = Math.min(size, facts.attrSize);
  return undefined;
}

/**
 * Checks the second structure, in arguments 4 and 5. It requests a log, which no trapped command
 * writes. It must be readable, and must not set anything that the kernel does not know.
 */
function checkCommonAttributes({ caller, notification }: Call): number {
  const size = notification.argument(4);
  if (size > MAX_STRUCT) return -E.E2BIG;
  const done = caller.peek(notification.pointer(3), common, size);
  if (hasSetByte(common, COMMON_END, done)) return -E.E2BIG;
  return done < size ? -E.EFAULT : 0;
}
