/** Kernel features that only guests use in tests, not bpfns itself. They are probed like the table of src/kernel. */
import { kernelUsesBit34 } from '../../src/filter/own-command.js';
import { type Answer, no, unknown, yes } from '../../src/kernel/answer.js';
import { bpf, bpfWithCommonAttributes, objGet } from '../../src/sys/bpf.js';
import { E, errnoName } from '../../src/sys/errno.js';
import { bpf_attr, bpf_cmd, bpf_map_type } from '../../src/sys/kernel.gen.js';
import { addressOf, close, setsockopt, socket } from '../../src/sys/libc.js';

export interface GuestFeature {
  readonly name: string;
  /** The first Linux release with it, as "6.5". */
  readonly since: string;
  /** The first release without it, if there is one. */
  readonly until?: string;
  readonly option?: string;
  readonly probe: () => Answer;
}

const [AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_PASSRIGHTS] = [1, 1, 1, 83];
const BPF_F_NO_PREALLOC = 1;
const BPF_F_LINK = 1 << 13;
const BPF_F_PATH_FD = 1 << 14;
/** Of the kernel's BTF; its first type, a number, is nobody's operations. */
const FIRST_TYPE = 1;
const BPF_PROG_TYPE_NETFILTER = 32;
const BPF_PROG_TYPE_KPROBE = 2;
const [BPF_NETFILTER, BPF_TCX_INGRESS, BPF_TRACE_UPROBE_MULTI] = [45, 46, 48];
const NO_INTERFACE = 0x7fffffff;
/** For MAP_GET_NEXT_ID: the last id that it takes. No map has one behind it. */
const noMap = Buffer.from('feffff7f0000000000000000', 'hex');
/** r0 = 1; exit */
const program = Buffer.from('b7000000010000009500000000000000', 'hex');
const license = Buffer.from('GPL\0');
const noFile = Buffer.from('/no/such\0');

/** A kernel answers with EINVAL what it does not know. */
function answer(result: number, whenKnown?: number): Answer {
  if (result >= 0 || -result === whenKnown) return yes;
  return result === -E.EINVAL ? no() : unknown(errnoName(-result));
}

export const guestFeatures: readonly GuestFeature[] = [
  {
    // The bit is CLONE_AUTOREAP since then, and bpfns leaves it to the kernel.
    name: 'a clone3 whose bit 34 is free',
    since: '5.3',
    until: '7.1',
    probe: () => (kernelUsesBit34() ? no() : yes),
  },
  {
    name: 'common attributes of bpf(2)',
    since: '7.2',
    probe: () => answer(bpfWithCommonAttributes(bpf_cmd.BPF_MAP_GET_NEXT_ID, noMap, noMap.length), E.ENOENT),
  },
  { name: 'BPF_F_PATH_FD', since: '6.5', probe: () => answer(objGet('/no/such', BPF_F_PATH_FD), E.ENOENT) },
  {
    name: 'sockets that take no files',
    since: '6.16',
    probe: () => {
      const fd = socket(AF_UNIX, SOCK_STREAM, 0);
      const result = setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, Buffer.alloc(4), 4);
      close(fd);
      return result === -E.ENOPROTOOPT ? no() : answer(result);
    },
  },
  {
    name: 'tcx links',
    since: '6.6',
    probe: () => {
      const query = Buffer.alloc(bpf_attr.sizeof);
      query.writeUInt32LE(NO_INTERFACE, bpf_attr.query_target_ifindex);
      query.writeUInt32LE(BPF_TCX_INGRESS, bpf_attr.query_attach_type);
      return answer(bpf(bpf_cmd.BPF_PROG_QUERY, query, bpf_attr.query_revision), E.ENODEV);
    },
  },
  {
    name: 'netfilter links',
    since: '6.4',
    probe: () => {
      const fd = loadProgram(BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER);
      if (fd >= 0) close(fd);
      return answer(fd);
    },
  },
  {
    // Where the flag is known, the type of the value is looked at next.
    name: 'links of struct_ops',
    since: '6.4',
    probe: () => {
      const map = Buffer.alloc(bpf_attr.sizeof);
      for (const at of [bpf_attr.key_size, bpf_attr.value_size]) map.writeUInt32LE(4, at);
      map.writeUInt32LE(bpf_map_type.BPF_MAP_TYPE_STRUCT_OPS, bpf_attr.map_type);
      map.writeUInt32LE(1, bpf_attr.max_entries);
      map.writeUInt32LE(BPF_F_LINK, bpf_attr.map_flags);
      map.writeUInt32LE(FIRST_TYPE, bpf_attr.btf_vmlinux_value_type_id);
      return answer(bpf(bpf_cmd.BPF_MAP_CREATE, map, bpf_attr.btf_vmlinux_value_type_id + 4), E.ENOTSUPP);
    },
  },
  {
    name: 'uprobe_multi links',
    since: '6.6',
    probe: () => {
      const fd = loadProgram(BPF_PROG_TYPE_KPROBE, BPF_TRACE_UPROBE_MULTI);
      if (fd < 0) return answer(fd);
      const link = Buffer.alloc(bpf_attr.sizeof);
      link.writeInt32LE(fd, bpf_attr.link_create_prog_fd);
      link.writeUInt32LE(BPF_TRACE_UPROBE_MULTI, bpf_attr.link_create_attach_type);
      link.writeBigUInt64LE(addressOf(noFile), bpf_attr.link_create_uprobe_multi_path);
      link.writeBigUInt64LE(addressOf(noFile), bpf_attr.link_create_uprobe_multi_offsets);
      link.writeUInt32LE(1, bpf_attr.link_create_uprobe_multi_cnt);
      const result = bpf(bpf_cmd.BPF_LINK_CREATE, link, bpf_attr.link_create_uprobe_multi_pid + 4);
      close(fd);
      return answer(result, E.ENOENT);
    },
  },
  {
    name: 'RHASH maps and TRACING_MULTI links',
    since: '7.2',
    probe: () => {
      const map = Buffer.alloc(bpf_attr.sizeof);
      for (const at of [bpf_attr.key_size, bpf_attr.value_size, bpf_attr.max_entries]) map.writeUInt32LE(4, at);
      map.writeUInt32LE(bpf_map_type.BPF_MAP_TYPE_RHASH, bpf_attr.map_type);
      map.writeUInt32LE(BPF_F_NO_PREALLOC, bpf_attr.map_flags);
      const fd = bpf(bpf_cmd.BPF_MAP_CREATE, map, bpf_attr.map_flags + 4);
      if (fd >= 0) close(fd);
      return answer(fd);
    },
  },
];

/** A trivial program's fd, or -errno. */
function loadProgram(type: number, attachType: number): number {
  const load = Buffer.alloc(bpf_attr.sizeof);
  load.writeUInt32LE(type, bpf_attr.prog_type);
  load.writeUInt32LE(program.length / 8, bpf_attr.insn_cnt);
  load.writeBigUInt64LE(addressOf(program), bpf_attr.insns);
  load.writeBigUInt64LE(addressOf(license), bpf_attr.license);
  load.writeUInt32LE(attachType, bpf_attr.expected_attach_type);
  return bpf(bpf_cmd.BPF_PROG_LOAD, load, bpf_attr.expected_attach_type + 4);
}
