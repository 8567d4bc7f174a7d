/** BPF_{PROG,MAP,LINK,BTF}_GET_NEXT_ID: the next id of the caller's namespace whose object is alive. */
import type { Kind } from '../../model/ids.js';
import type { Numbers } from '../../model/numbers.js';
import type { Mirror } from '../../recorder/mirror.js';
import { E } from '../../sys/errno.js';
import { bpf_attr } from '../../sys/kernel.gen.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';

const INT_MAX = 0x7fffffff;
/** Bounds what a guest that creates and drops objects all the time costs the others. */
const MAX_LOOKS = 4;

/** Order of checks as in bpf_obj_get_next_id() (kernel/bpf/syscall.c). */
export function getNextId(call: Call, { mirror }: Services, kind: Kind): Reply {
  const start = call.attr.readUInt32LE(bpf_attr.start_id);
  if (call.hasUnknownBits(bpf_attr.open_flags) || start >= INT_MAX) return -E.EINVAL;
  if (!call.mayUseIds) return -E.EPERM;
  if (kind === 'btf') mirror.kernelBtf.update();
  const numbers = call.namespace.numbers[kind];
  // New objects can appear while dead ones are skipped, and one of them is then the next.
  for (let look = 0; look < MAX_LOOKS; look++) {
    const id = nextLiving(numbers, start, kind, mirror);
    if (id > 0) return call.writeAttr(bpf_attr.next_id, id) ? 0 : -E.EFAULT;
    mirror.update();
  }
  return -E.ENOENT;
}

/** The kernel's next living host id, which skips all dead ones in one call. 0 at the end. */
function nextLiving(numbers: Numbers, start: number, kind: Kind, mirror: Mirror): number {
  let from = 0;
  let to = 0; // everything in between is known to be dead
  for (let next = numbers.next(start); next; next = numbers.next(next.id)) {
    if (next.host >= from && next.host < to) continue;
    const alive = mirror.nextAlive(kind, next.host);
    if (alive === next.host) return next.id;
    from = next.host;
    to = alive > 0 ? alive : Number.POSITIVE_INFINITY;
  }
  return 0;
}
