/** BPF_{PROG,MAP,LINK,BTF}_GET_NEXT_ID: the next id of the caller's namespace whose object still lives. */
import type { Kind } from '../../model/ids.js';
import { E } from '../../sys/errno.js';
import { bpf_attr } from '../../sys/kernel.gen.js';
import type { Call, Reply } from '../call.js';
import type { Context } from './context.js';

const INT_MAX = 0x7fffffff;
/** Bounds what a guest that makes and drops objects all the time can cost the others. */
const MAX_LOOKS = 16;

/** Order of checks as in bpf_obj_get_next_id() (kernel/bpf/syscall.c). */
export function getNextId(call: Call, { mirror }: Context, kind: Kind): Reply {
  const start = call.attr.readUInt32LE(bpf_attr.start_id);
  if (call.hasUnknownBits(bpf_attr.open_flags) || start >= INT_MAX) return -E.EINVAL;
  if (!call.mayUseIds) return -E.EPERM;
  if (kind === 'btf') mirror.updateKernelBtf();
  const numbers = call.namespace.numbers[kind];
  // While the dead are passed over, new ones come: the end is only the end if nothing came meanwhile.
  for (let look = 0; look < MAX_LOOKS; look++) {
    for (let next = numbers.next(start); next; next = numbers.next(next.id)) {
      if (!mirror.isAlive(kind, next.host)) continue;
      return call.writeAttr(bpf_attr.next_id, next.id) ? 0 : -E.EFAULT;
    }
    mirror.update();
    if (!numbers.next(start)) return -E.ENOENT;
  }
  return -E.ENOENT;
}
