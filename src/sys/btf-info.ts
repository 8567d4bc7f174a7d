/** Facts about one of our own BTF fds. */
import { getInfoByFd } from './bpf.js';
import { bpf_btf_info } from './kernel.gen.js';
import { addressOf } from './libc.js';

export interface BtfInfo {
  readonly isKernel: boolean;
  /** 'vmlinux', the name of a module, or '' for BTF that a program loaded. */
  readonly name: string;
  /** The size of the blob in bytes. */
  readonly length: number;
}

export function btfInfo(fd: number): BtfInfo | undefined {
  const info = Buffer.alloc(bpf_btf_info.sizeof);
  const name = Buffer.alloc(64);
  info.writeBigUInt64LE(addressOf(name), bpf_btf_info.name);
  info.writeUInt32LE(name.length, bpf_btf_info.name_len);
  if (getInfoByFd(fd, info, info.length) < 0) return undefined;
  return {
    isKernel: info.readUInt32LE(bpf_btf_info.kernel_btf) !== 0,
    name: name.toString('utf8', 0, name.indexOf(0)),
    length: info.readUInt32LE(bpf_btf_info.btf_size),
  };
}

/** The whole blob of a BTF fd; undefined if the kernel gives none. */
export function btfBlob(fd: number): Buffer | undefined {
  const length = btfInfo(fd)?.length;
  if (length === undefined) return undefined;
  const info = Buffer.alloc(bpf_btf_info.sizeof);
  const blob = Buffer.alloc(length);
  info.writeBigUInt64LE(addressOf(blob), bpf_btf_info.btf);
  info.writeUInt32LE(length, bpf_btf_info.btf_size);
  return getInfoByFd(fd, info, info.length) < 0 ? undefined : blob;
}
