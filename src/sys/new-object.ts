/** Creates the smallest object of each kind, and drops it. */
import type { Kind } from '../model/ids.js';
import { bpf, idOfFd } from './bpf.js';
import { check } from './errno.js';
import { bpf_attach_type, bpf_attr, bpf_cmd, bpf_map_type, bpf_prog_type } from './kernel.gen.js';
import { addressOf, close } from './libc.js';

/** r0 = 0; exit */
const code = Buffer.from('b7000000000000009500000000000000', 'hex');
const license = Buffer.from('GPL\0');
/** struct btf_header, struct btf_type and its encoding, strings: one type, int. */
const btf = Buffer.from(
  '9feb010018000000' +
    '00000000100000001000000005000000' + // type section: offset, length; string section: offset, length
    '01000000000000010400000020000001' + // name, kind INT, 4 bytes, 32 bits signed
    '00696e7400', // "\0int\0"
  'hex',
);
const command = {
  map: bpf_cmd.BPF_MAP_CREATE,
  prog: bpf_cmd.BPF_PROG_LOAD,
  link: bpf_cmd.BPF_LINK_CREATE,
  btf: bpf_cmd.BPF_BTF_LOAD,
} as const;

const a = bpf_attr;
const fill: Readonly<Record<Kind, (attr: Buffer, iterator: number) => void>> = {
  map(attr) {
    attr.writeUInt32LE(bpf_map_type.BPF_MAP_TYPE_ARRAY, a.map_type);
    for (const field of [a.key_size, a.value_size]) attr.writeUInt32LE(4, field);
    attr.writeUInt32LE(1, a.max_entries);
  },
  prog(attr) {
    attr.writeUInt32LE(bpf_prog_type.BPF_PROG_TYPE_SOCKET_FILTER, a.prog_type);
    attr.writeUInt32LE(code.length / 8, a.insn_cnt);
    attr.writeBigUInt64LE(addressOf(code), a.insns);
    attr.writeBigUInt64LE(addressOf(license), a.license);
  },
  link(attr, iterator) {
    attr.writeInt32LE(iterator, a.link_create_prog_fd);
    attr.writeUInt32LE(bpf_attach_type.BPF_TRACE_ITER, a.link_create_attach_type);
  },
  btf(attr) {
    attr.writeBigUInt64LE(addressOf(btf), a.btf);
    attr.writeUInt32LE(btf.length, a.btf_size);
  },
};

/**
 * Creates an object and drops it. @returns the newest id of its kind, which nothing else shows
 * @param iterator fd of an iterator program, from which links are created
 * @throws SyscallError
 */
export function newestId(kind: Kind, iterator: number): number {
  const attr = Buffer.alloc(a.fd_array);
  fill[kind](attr, iterator);
  const fd = check(bpf(command[kind], attr, attr.length), 'bpf', `cannot make a ${kind}`);
  try {
    return idOfFd(fd, kind);
  } finally {
    close(fd);
  }
}
