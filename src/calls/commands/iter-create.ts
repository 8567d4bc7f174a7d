/**
 * BPF_ITER_CREATE: iterators run natively, except the one with which bpftool finds the processes
 * that use an object (its `pids`). That one would yield host ids, so the caller gets a file with
 * the same records and its own ids instead.
 */
import { hostId, type Kind } from '../../model/ids.js';
import type { Namespace } from '../../model/namespaces.js';
import type { ObjectUser } from '../../recorder/inspector.js';
import { getInfoByFd, kindOfFd, mapLookup, withObject } from '../../sys/bpf.js';
import { Btf, BtfKind } from '../../sys/btf.js';
import { btfBlob } from '../../sys/btf-info.js';
import { cString } from '../../sys/c-string.js';
import { E } from '../../sys/errno.js';
import { Fd } from '../../sys/fd.js';
import { bpf_attr, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info } from '../../sys/kernel.gen.js';
import { addressOf, lseek, memfdCreate, write } from '../../sys/libc.js';
import { guestPid } from '../../sys/pids.js';
import type { ProcDir } from '../../sys/proc-dir.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';
import { Slices } from '../turns.js';

const MFD_CLOEXEC = 1;
const END = bpf_attr.iter_create_flags + 4;
/** bpftool's enum bpf_obj_type (src/main.h), in its order. */
const kindByObjType: readonly (Kind | undefined)[] = [undefined, 'prog', 'map', 'link', 'btf'];
/** The largest answer. */
const MAX_RECORDS = 65536;
const MAX_BTF = 128 * 1024;
/** The largest program that is examined. bpftool's is much smaller. */
const MAX_CODE = 32768;

/** It is safe to continue every other iterator: the kernel runs it with the caller's own rights. */
export function iterCreate(call: Call, services: Services): Reply | Promise<Reply> {
  if (call.hasUnknownBits(END) || call.attr.readUInt32LE(bpf_attr.iter_create_flags) !== 0) return 'continue';
  using link = call.caller.takeFd(call.attr.readInt32LE(bpf_attr.iter_create_link_fd));
  if (!link.isOpen) return 'continue';
  const iterator = pidIterator(link.number);
  if (!iterator) return 'continue';
  // Opened now: later the caller may be gone.
  const { directory } = call.caller;
  return services.turns.take(call.namespace, () => objectUsers(call.namespace, directory, services, iterator));
}

interface PidIterator {
  readonly kind: Kind;
  readonly size: number;
  /** Offsets in struct pid_iter_entry, which has grown over the versions. */
  readonly fields: ReadonlyMap<string, number>;
}

/** What bpftool's iterator program yields; undefined for another program. */
function pidIterator(link: number): PidIterator | undefined {
  if (kindOfFd(link) !== 'link') return undefined;
  const info = Buffer.alloc(bpf_link_info.sizeof);
  if (getInfoByFd(link, info, info.length) < 0) return undefined;
  if (info.readUInt32LE(bpf_link_info.type) !== bpf_link_type.BPF_LINK_TYPE_ITER) return undefined;
  return withObject('prog', info.readUInt32LE(bpf_link_info.prog_id), (prog) => {
    const progInfo = programInfo(prog);
    const blob = progInfo && withObject('btf', progInfo.btf, btfBlob);
    if (!blob || blob.length > MAX_BTF) return undefined;
    try {
      return describe(new Btf(blob), progInfo);
    } catch {
      return undefined; // unusual BTF: not bpftool's program
    }
  });
}

interface ProgramInfo {
  readonly btf: number;
  readonly maps: readonly number[];
  /** The translated instructions. */
  readonly code: Buffer;
}

function programInfo(prog: number): ProgramInfo | undefined {
  const info = Buffer.alloc(bpf_prog_info.sizeof);
  const maps = Buffer.alloc(64 * 4);
  const code = Buffer.alloc(MAX_CODE);
  info.writeUInt32LE(64, bpf_prog_info.nr_map_ids);
  info.writeBigUInt64LE(addressOf(maps), bpf_prog_info.map_ids);
  info.writeUInt32LE(MAX_CODE, bpf_prog_info.xlated_prog_len);
  info.writeBigUInt64LE(addressOf(code), bpf_prog_info.xlated_prog_insns);
  if (getInfoByFd(prog, info, info.length) < 0) return undefined;
  const count = Math.min(info.readUInt32LE(bpf_prog_info.nr_map_ids), 64);
  return {
    btf: info.readUInt32LE(bpf_prog_info.btf_id),
    maps: Array.from({ length: count }, (_, i) => maps.readUInt32LE(i * 4)),
    code,
  };
}

/**
 * bpftool's program is recognised by its constant `obj_type`, of type enum bpf_obj_type. The record
 * itself is a local variable, which clang leaves out of the BTF. Its size gives its layout.
 */
function describe(btf: Btf, { maps, code }: ProgramInfo): PidIterator | undefined {
  const objType = btf.variables('.rodata').find(({ name }) => name === 'obj_type');
  if (!objType || btf.find(BtfKind.enum, 'bpf_obj_type') === 0) return undefined;
  const section = maps.map((map) => withObject('map', map, rodata)).find((bytes) => bytes !== undefined);
  const kind = section && kindByObjType[section.readUInt32LE(objType.offset)];
  const layout = layouts.find(({ size }) => passesLength(code, size));
  return kind && layout ? { kind, ...layout } : undefined;
}

/** bpftool's struct pid_iter_entry, which has the cookie since 5.19. */
const layouts: ReadonlyArray<Omit<PidIterator, 'kind'>> = [
  { size: 24, fields: new Map(Object.entries({ id: 0, pid: 4, comm: 8 })) },
  { size: 40, fields: new Map(Object.entries({ id: 0, pid: 4, bpf_cookie: 8, has_bpf_cookie: 16, comm: 17 })) },
];

/** The length is the third argument of bpf_seq_write(): mov64 or mov32 of a constant to r3. */
const movesToR3: readonly number[] = [0xb7 | (3 << 8), 0xb4 | (3 << 8)];

function passesLength(code: Buffer, length: number): boolean {
  for (let at = 0; at + 8 <= code.length; at += 8) {
    if (movesToR3.includes(code.readUInt16LE(at)) && code.readInt32LE(at + 4) === length) return true;
  }
  return false;
}

/** The contents of a program's .rodata map, or undefined if the map is another one. */
function rodata(map: number): Buffer | undefined {
  const info = Buffer.alloc(bpf_map_info.sizeof);
  if (getInfoByFd(map, info, info.length) < 0) return undefined;
  const name = cString(info, bpf_map_info.name, 16);
  // Named "pid_iter.rodata". Strings are in another map, ".rodata.str1.1".
  if (!name.endsWith('.rodata')) return undefined;
  const size = info.readUInt32LE(bpf_map_info.value_size);
  if (size > MAX_BTF) return undefined;
  const value = Buffer.alloc(size);
  return mapLookup(map, Buffer.alloc(4), value) < 0 ? undefined : value;
}

/** There may be tens of thousands of fds: the event loop is given back now and then. */
async function objectUsers(
  namespace: Namespace,
  caller: ProcDir,
  { inspector, mirror }: Services,
  { kind, size, fields }: PidIterator,
): Promise<Reply> {
  const slices = new Slices();
  const records = new Map<string, Buffer>();
  const pids = new Map<number, number>();
  for (const users of inspector.objectUsersInParts()) {
    for (const user of users) {
      await slices.pause();
      // Not call.idIn(): the objects are other processes', and a look at the caller's would find none of them.
      const id = user.kind === kind ? mirror.idIn(namespace, kind, hostId(user.host)) : 0;
      // This call itself has a copy of the caller's link open.
      if (id === 0 || user.pid === process.pid) continue;
      const pid = pids.get(user.pid) ?? guestPid(caller, user.pid);
      pids.set(user.pid, pid);
      if (pid === 0) continue;
      // bpftool shows a process once, however often it has the object open.
      records.set(`${id} ${pid} ${user.cookie}`, encode(user, id, pid, size, fields));
      if (records.size >= MAX_RECORDS) return asFile(Buffer.concat([...records.values()]));
    }
    await slices.pause();
  }
  return asFile(Buffer.concat([...records.values()]));
}

/** One struct pid_iter_entry. */
function encode(user: ObjectUser, id: number, pid: number, size: number, fields: PidIterator['fields']): Buffer {
  const record = Buffer.alloc(size);
  put32(record, fields.get('id'), id);
  put32(record, fields.get('pid'), pid);
  const comm = fields.get('comm');
  if (comm !== undefined) record.write(user.comm, comm, Math.min(16, size - comm), 'latin1');
  const cookie = fields.get('bpf_cookie');
  const hasCookie = fields.get('has_bpf_cookie');
  if (user.cookie !== undefined && cookie !== undefined && hasCookie !== undefined) {
    record.writeBigUInt64LE(user.cookie, cookie);
    record.writeUInt8(1, hasCookie);
  }
  return record;
}

function put32(record: Buffer, offset: number | undefined, value: number): void {
  if (offset !== undefined) record.writeUInt32LE(value, offset);
}

function asFile(content: Buffer): Reply {
  const file = new Fd(memfdCreate('bpf_iter', MFD_CLOEXEC));
  if (!file.isOpen) return file;
  if (write(file.number, content, content.length) !== content.length) {
    file.close();
    return -E.ENOMEM;
  }
  lseek(file.number, 0, 0);
  return file;
}
