/** Finds out what the target_obj_id of a tracing link means. */
import type { Kind } from '../../../model/ids.js';
import { getInfoByFd, withObject } from '../../../sys/bpf.js';
import { btfInfo } from '../../../sys/btf-info.js';
import { bpf_prog_info } from '../../../sys/kernel.gen.js';

/**
 * The field has the id of a program if the link attaches to a program; otherwise it has the id of
 * the BTF that declares the function (bpf_trampoline_compute_key() in kernel/bpf/trampoline.c). The
 * kernel does not say which. Functions of the kernel are declared in the kernel's own BTF.
 */
export function attachTarget(progId: number, target: number): Kind {
  const info = Buffer.alloc(bpf_prog_info.sizeof);
  const attachBtf = withObject('prog', progId, (fd) =>
    getInfoByFd(fd, info, info.length) < 0 ? 0 : info.readUInt32LE(bpf_prog_info.attach_btf_obj_id),
  );
  if (attachBtf !== target) return 'prog';
  return withObject('btf', target, btfInfo)?.isKernel ? 'btf' : 'prog';
}
