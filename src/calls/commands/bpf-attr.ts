/** Reads the attr of bpf(2) before the command runs. */
import { MAX_STRUCT } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { type Call, hasSetByte, type Reply } from '../call.js';
import type { Services } from '../services.js';

const COMMAND_MASK = 0xffff;

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
  // The upper half of the command is a flag (7.x), or unknown to the kernel.
  if (command > COMMAND_MASK && !facts.hasCommonAttrs) return -E.EINVAL;
  call.size = Math.min(size, facts.attrSize);
  return undefined;
}
