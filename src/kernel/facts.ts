/** What bpf(2) of the running kernel supports, found by its behaviour. */
import { bpf, bpfWithCommonAttributes, MAX_STRUCT } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { bpf_attr, bpf_cmd } from '../sys/kernel.gen.js';

const BPF_F_TOKEN_FD = 1 << 16;

export interface KernelFacts {
  /** sizeof(union bpf_attr): a set bit behind it gives E2BIG. */
  readonly attrSize: number;
  /** Whether a flag in the upper half of the command is known. */
  readonly hasCommonAttrs: boolean;
  /** Whether BTF_GET_FD_BY_ID takes a token (6.15). */
  readonly hasBtfToken: boolean;
}

export function probeKernel(): KernelFacts {
  return { attrSize: attrSize(), hasCommonAttrs: hasCommonAttrs(), hasBtfToken: hasBtfToken() };
}

/** A set byte behind the kernel's union gives E2BIG; one inside it, but behind the command's fields, gives EINVAL. */
function attrSize(): number {
  const attr = Buffer.alloc(MAX_STRUCT);
  let low: number = bpf_attr.open_flags;
  let high = MAX_STRUCT;
  while (low < high) {
    const middle = (low + high) >>> 1;
    attr.fill(0);
    attr[middle] = 1;
    if (bpf(bpf_cmd.BPF_PROG_GET_NEXT_ID, attr, MAX_STRUCT) === -E.E2BIG) high = middle;
    else low = middle + 1;
  }
  return low;
}

function hasCommonAttrs(): boolean {
  return bpfWithCommonAttributes(bpf_cmd.BPF_PROG_GET_NEXT_ID, Buffer.alloc(16), 16) !== -E.EINVAL;
}

function hasBtfToken(): boolean {
  const attr = Buffer.alloc(16);
  attr.writeUInt32LE(BPF_F_TOKEN_FD, bpf_attr.open_flags);
  attr.writeInt32LE(-1, bpf_attr.fd_by_id_token_fd);
  return bpf(bpf_cmd.BPF_BTF_GET_FD_BY_ID, attr, attr.length) === -E.EBADF;
}
