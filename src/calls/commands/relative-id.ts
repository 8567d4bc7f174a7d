/**
 * BPF_LINK_CREATE, BPF_PROG_ATTACH, BPF_PROG_DETACH run natively. Only an id that gives the place
 * to attach to (BPF_F_ID) is translated first, in the caller's attr.
 */
import { E } from '../../sys/errno.js';
import { bpf_attr } from '../../sys/kernel.gen.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';

const BPF_F_ID = 1 << 5;
const BPF_F_LINK = 1 << 13;
/** The kernel's ids end below INT_MAX. */
const NO_OBJECT = 0x7fffffff;

/** The offsets of a command's flags and of the id. */
export interface RelativeIdPlace {
  readonly flags: number;
  readonly id: number;
}

export const linkCreatePlace: RelativeIdPlace = {
  flags: bpf_attr.link_create_flags,
  id: bpf_attr.link_create_tcx_relative_id,
};
export const progAttachPlace: RelativeIdPlace = {
  flags: bpf_attr.attach_flags,
  id: bpf_attr.relative_id,
};

/**
 * It is safe to continue: the kernel runs the command with the caller's own rights. An id that is
 * changed after this check can only name a neighbour on a hook that the caller may change anyway.
 * It gives no access to the object.
 */
export function translateRelativeId(call: Call, { mirror }: Services, place: RelativeIdPlace): Reply {
  const flags = call.attr.readUInt32LE(place.flags);
  if ((flags & BPF_F_ID) === 0) return 'continue';
  const id = call.attr.readUInt32LE(place.id);
  if (id === 0) return 'continue';
  const kind = (flags & BPF_F_LINK) !== 0 ? 'link' : 'prog';
  const host = mirror.resolve(call.namespace, kind, id);
  // The kernel itself fails with ENOENT, after its other checks.
  const target = host !== undefined && mirror.isAlive(kind, host) ? host : NO_OBJECT;
  return call.writeAttr(place.id, target) ? 'continue' : -E.EFAULT;
}
