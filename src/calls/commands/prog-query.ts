/** BPF_PROG_QUERY: lists what is attached, without programs and links that are not visible. */
import { hostId } from '../../model/ids.js';
import { bpf } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { bpf_attach_type, bpf_attr, bpf_cmd } from '../../sys/kernel.gen.js';
import { addressOf } from '../../sys/libc.js';
import { readPointer } from '../../sys/seccomp.js';
import { CAP_NET_ADMIN, CAP_SYS_ADMIN } from '../../sys/task.js';
import type { Call, Reply } from '../call.js';

/** The most entries that an answer can have: 64 programs on each of up to 64 nested cgroups. */
const MAX_ENTRIES = 4096;

const a = bpf_attr;
const arrays = [a.query_prog_ids, a.query_prog_attach_flags, a.query_link_ids, a.query_link_attach_flags];
const END = a.query_revision + 8;
const inAnswer = [a.query_attach_flags, a.query_prog_cnt];
const call = Buffer.alloc(END);
const entries = arrays.map(() => Buffer.alloc(MAX_ENTRIES * 4));

/** Attach types whose target is a network device of the caller's network namespace, not an fd. */
const byIfindex: ReadonlySet<number> = new Set([
  bpf_attach_type.BPF_TCX_INGRESS,
  bpf_attach_type.BPF_TCX_EGRESS,
  bpf_attach_type.BPF_NETKIT_PRIMARY,
  bpf_attach_type.BPF_NETKIT_PEER,
]);

export function progQuery(guest: Call): Reply {
  const attachType = guest.attr.readUInt32LE(a.query_attach_type);
  const mayQuery = (guest.initCapabilities & (CAP_NET_ADMIN | CAP_SYS_ADMIN)) !== 0n;
  if (!mayQuery) return -E.EPERM;
  if (guest.hasUnknownBits(END)) return -E.EINVAL;
  const isByIfindex = byIfindex.has(attachType);
  const target = guest.attr.readInt32LE(a.query_target_fd);
  if (isByIfindex) return query(guest, target, true);
  using fd = guest.caller.takeFd(target);
  // A bad fd is passed on: the kernel gives the right error for the attach type.
  return query(guest, fd.isOpen ? fd.number : -1, false);
}

function query(guest: Call, target: number, isByIfindex: boolean): Reply {
  const run = (): number => bpf(bpf_cmd.BPF_PROG_QUERY, call, END);
  // The kernel refuses set bits in fields that it does not have, so unused fields stay 0.
  guest.attr.copy(call, 0, 0, END);
  call.writeInt32LE(target, a.query_target_fd);
  call.writeUInt32LE(MAX_ENTRIES, a.query_prog_cnt);
  arrays.forEach((pointer, i) => {
    const isAsked =
      guest.attr.readBigUInt64LE(pointer) !== 0n || (i === 0 && guest.attr.readUInt32LE(a.query_prog_cnt) > 0);
    call.writeBigUInt64LE(isAsked ? addressOf(entries[i] as Buffer) : 0n, pointer);
  });
  // The programs decide which entries to leave out, so they are always requested.
  call.writeBigUInt64LE(addressOf(entries[0] as Buffer), a.query_prog_ids);
  for (const buffer of entries) buffer.fill(0);
  const result = guest.asCaller(() => (isByIfindex ? guest.caller.directory.inNetworkNamespace(run) : run()));
  if (result < 0) return result;
  return copyBack(guest);
}

function copyBack(guest: Call): Reply {
  const total = Math.min(call.readUInt32LE(a.query_prog_cnt), MAX_ENTRIES);
  const [progs, , links] = entries as [Buffer, Buffer, Buffer, Buffer];
  let visible = 0;
  for (let i = 0; i < total; i++) {
    const prog = guest.idIn('prog', hostId(progs.readUInt32LE(i * 4)));
    if (prog === 0) continue;
    for (const buffer of entries) buffer.copy(buffer, visible * 4, i * 4, i * 4 + 4);
    progs.writeUInt32LE(prog, visible * 4);
    links.writeUInt32LE(guest.idIn('link', hostId(links.readUInt32LE(visible * 4))), visible * 4);
    visible++;
  }
  const room = guest.attr.readUInt32LE(a.query_prog_cnt);
  const hasArray = guest.attr.readBigUInt64LE(a.query_prog_ids) !== 0n;
  const copied = Math.min(room, visible);
  call.writeUInt32LE(visible, a.query_prog_cnt);
  for (const offset of inAnswer) {
    if (!guest.writeAttr(offset, call.readUInt32LE(offset))) return -E.EFAULT;
  }
  // The kernel writes it for some attach types only. Unchanged it is not written back: the memory may be read-only.
  const revision = call.subarray(a.query_revision, END);
  const isWritten = guest.size >= END && !revision.equals(guest.attr.subarray(a.query_revision, END));
  if (isWritten && !guest.write(guest.attrAddress + a.query_revision, revision, 8)) return -E.EFAULT;
  if (room === 0 || !hasArray || visible === 0) return 0;
  for (const [i, pointer] of arrays.entries()) {
    if (guest.attr.readBigUInt64LE(pointer) === 0n) continue;
    if (!guest.write(readPointer(guest.attr, pointer), entries[i] as Buffer, copied * 4)) return -E.EFAULT;
  }
  return room < visible ? -E.ENOSPC : 0;
}
