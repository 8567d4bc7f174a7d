/** bpf(2): one function per command. All return a value >= 0 or -errno. The caller closes a returned fd. */

import type { Kind } from '../model/ids.js';
import { Block, placeOf } from './block.js';
import { Fd } from './fd.js';
import { bpf_attr, bpf_btf_info, bpf_cmd, bpf_link_info, bpf_map_info, bpf_prog_info } from './kernel.gen.js';
import { addressOf, readlink, SYS, syscall3, syscallBpf, syscallBpfCommon } from './libc.js';

const nextIdCommand = {
  map: bpf_cmd.BPF_MAP_GET_NEXT_ID,
  prog: bpf_cmd.BPF_PROG_GET_NEXT_ID,
  link: bpf_cmd.BPF_LINK_GET_NEXT_ID,
  btf: bpf_cmd.BPF_BTF_GET_NEXT_ID,
} as const;
const fdByIdCommand = {
  map: bpf_cmd.BPF_MAP_GET_FD_BY_ID,
  prog: bpf_cmd.BPF_PROG_GET_FD_BY_ID,
  link: bpf_cmd.BPF_LINK_GET_FD_BY_ID,
  btf: bpf_cmd.BPF_BTF_GET_FD_BY_ID,
} as const;

/** The largest size that bpf(2) accepts for attr and for info structures (bpf_check_uarg_tail_zero). */
export const MAX_STRUCT = 4096;

const attr = Block.alloc(bpf_attr.sizeof);

/** The raw call. `command` is one of `bpf_cmd`. */
export function bpf(command: number, attribute: Buffer, size: number): number {
  return syscallBpf(SYS.bpf, command, attribute, size);
}

/** As {@link bpf}, with the flag that announces common attributes (7.2), and none of them. */
export function bpfWithCommonAttributes(command: number, attribute: Buffer, size: number): number {
  return syscallBpfCommon(SYS.bpf, command | bpf_cmd.BPF_COMMON_ATTRS, attribute, size, null, 0);
}

/** The next host id greater than `start`. ENOENT at the end. Needs CAP_SYS_ADMIN. */
export function getNextId(kind: Kind, start: number): number {
  const result = byId(nextIdCommand[kind], start, 0);
  return result < 0 ? result : (attr.words[bpf_attr.next_id / 4] ?? 0);
}

/** Opens an object by its host id. ENOENT if it does not exist. Needs CAP_SYS_ADMIN. */
export function getFdById(kind: Kind, id: number, openFlags = 0): number {
  return byId(fdByIdCommand[kind], id, openFlags);
}

function byId(command: number, id: number, openFlags: number): number {
  attr.words[bpf_attr.start_id / 4] = id;
  attr.words[bpf_attr.next_id / 4] = 0;
  attr.words[bpf_attr.open_flags / 4] = openFlags;
  return syscall3(SYS.bpf, command, attr.address, bpf_attr.open_flags + 4);
}

const infoAttr = Block.alloc(bpf_attr.info_info + 8);

/** Fills `info`, whose pointers must be valid in this process. @returns the length that the kernel knows */
export function getInfoByFd(fd: number, info: Block | Buffer, length: number): number {
  const { words, address } = infoAttr;
  const target = placeOf(info);
  words[bpf_attr.info_bpf_fd / 4] = fd;
  words[bpf_attr.info_info_len / 4] = length;
  words[bpf_attr.info_info / 4] = target; // modulo 2^32
  words[bpf_attr.info_info / 4 + 1] = target / 0x100000000;
  const result = syscall3(SYS.bpf, bpf_cmd.BPF_OBJ_GET_INFO_BY_FD, address, infoAttr.buffer.length);
  return result < 0 ? result : (words[bpf_attr.info_info_len / 4] ?? 0);
}

/** Opens a pinned object. `path` is resolved for the calling thread (root, cwd, credentials). */
export function objGet(path: string, flags = 0): number {
  const name = Buffer.from(`${path}\0`);
  const call = Buffer.alloc(16);
  call.writeBigUInt64LE(addressOf(name), bpf_attr.pathname);
  call.writeUInt32LE(flags, bpf_attr.file_flags);
  return bpf(bpf_cmd.BPF_OBJ_GET, call, call.length);
}

const runAttr = Buffer.alloc(bpf_attr.test_batch_size + 4);

/** Runs a program of type SYSCALL on `context`, which the program may change. @returns 0 or -errno */
export function runProgram(fd: number, context: Buffer): number {
  runAttr.writeInt32LE(fd, bpf_attr.test_prog_fd);
  runAttr.writeUInt32LE(context.length, bpf_attr.test_ctx_size_in);
  runAttr.writeBigUInt64LE(addressOf(context), bpf_attr.test_ctx_in);
  return bpf(bpf_cmd.BPF_PROG_TEST_RUN, runAttr, runAttr.length);
}

/** A program of type SYSCALL that is run often, on one context. Keep both open and referenced. */
export class PreparedRun {
  readonly #attr = Block.alloc(bpf_attr.test_batch_size + 4);

  constructor(fd: number, { buffer }: Block) {
    this.#attr.buffer.writeInt32LE(fd, bpf_attr.test_prog_fd);
    this.#attr.buffer.writeUInt32LE(buffer.length, bpf_attr.test_ctx_size_in);
    this.#attr.buffer.writeBigUInt64LE(addressOf(buffer), bpf_attr.test_ctx_in);
  }

  /** 0 or -errno. */
  run(): number {
    return syscall3(SYS.bpf, bpf_cmd.BPF_PROG_TEST_RUN, this.#attr.address, this.#attr.buffer.length);
  }
}

/** Looks up `key`, and fills `value`. ENOENT if absent. */
export function mapLookup(fd: number, key: Buffer, value: Buffer): number {
  return elementCommand(bpf_cmd.BPF_MAP_LOOKUP_ELEM, fd, key, value);
}

export function mapUpdate(fd: number, key: Buffer, value: Buffer): number {
  return elementCommand(bpf_cmd.BPF_MAP_UPDATE_ELEM, fd, key, value);
}

export function mapDelete(fd: number, key: Buffer): number {
  return elementCommand(bpf_cmd.BPF_MAP_DELETE_ELEM, fd, key, null);
}

const elementAttr = Buffer.alloc(32);

function elementCommand(command: number, fd: number, key: Buffer, value: Buffer | null): number {
  elementAttr.writeInt32LE(fd, bpf_attr.map_fd);
  elementAttr.writeBigUInt64LE(addressOf(key), bpf_attr.key);
  elementAttr.writeBigUInt64LE(value ? addressOf(value) : 0n, bpf_attr.value);
  return bpf(command, elementAttr, elementAttr.length);
}

/**
 * Calls `visit` with every key and value of a hash map, in batches. The buffers are reused: copy
 * what must stay. An entry that changes in the meantime may or may not appear.
 * @returns 0 or -errno
 */
export function mapForEach(
  fd: number,
  keySize: number,
  valueSize: number,
  visit: (key: Buffer, value: Buffer) => void,
): number {
  const parts = mapInParts(fd, keySize, valueSize, visit);
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
  }
}

/** Entries that one system call reads. */
const PART = 4096;

/** The same, {@link PART} entries each time it is asked to go on. */
export function* mapInParts(
  fd: number,
  keySize: number,
  valueSize: number,
  visit: (key: Buffer, value: Buffer) => void,
): Generator<void, number> {
  const keys = Buffer.alloc(keySize * PART);
  const values = Buffer.alloc(valueSize * PART);
  const position = Buffer.alloc(4);
  const call = Buffer.alloc(bpf_attr.batch_flags + 8);
  for (let first = true; ; first = false) {
    call.fill(0);
    if (!first) call.writeBigUInt64LE(addressOf(position), bpf_attr.batch_in_batch);
    call.writeBigUInt64LE(addressOf(position), bpf_attr.batch_out_batch);
    call.writeBigUInt64LE(addressOf(keys), bpf_attr.batch_keys);
    call.writeBigUInt64LE(addressOf(values), bpf_attr.batch_values);
    call.writeUInt32LE(PART, bpf_attr.batch_count);
    call.writeInt32LE(fd, bpf_attr.batch_map_fd);
    const result = bpf(bpf_cmd.BPF_MAP_LOOKUP_BATCH, call, call.length);
    const isEnd = result === -2; /* ENOENT */
    if (result < 0 && !isEnd) return result;
    const count = call.readUInt32LE(bpf_attr.batch_count);
    for (let i = 0; i < count; i++) {
      visit(keys.subarray(i * keySize, (i + 1) * keySize), values.subarray(i * valueSize, (i + 1) * valueSize));
    }
    if (isEnd) return 0;
    yield;
  }
}

const link = Buffer.alloc(64);
const kindByLink: Readonly<Record<string, Kind | 'token'>> = {
  'anon_inode:bpf-map': 'map',
  'anon_inode:bpf-prog': 'prog',
  // Named by bpf_link_prime() at creation, and by bpf_link_new_fd() when opened again.
  'anon_inode:bpf_link': 'link',
  'anon_inode:bpf-link': 'link',
  'anon_inode:btf': 'btf',
  'anon_inode:bpf-token': 'token',
};

/** The kind of the BPF object behind one of our own fds; undefined for another file. */
export function kindOfFd(fd: number): Kind | 'token' | undefined {
  const length = readlink(`/proc/self/fd/${fd}`, link, link.length);
  return length < 0 ? undefined : kindByLink[link.toString('latin1', 0, length)];
}

const idOffset: Readonly<Record<Kind, number>> = {
  map: bpf_map_info.id,
  prog: bpf_prog_info.id,
  link: bpf_link_info.id,
  btf: bpf_btf_info.id,
};

/** The host id of the object of this kind behind one of our own fds; 0 if it is unknown. */
export function idOfFd(fd: number, kind: Kind): number {
  const info = Buffer.alloc(32);
  return getInfoByFd(fd, info, info.length) < 0 ? 0 : info.readUInt32LE(idOffset[kind]);
}

/** All host ids of a kind, in order. */
export function* hostIds(kind: Kind): Generator<number> {
  for (let id = getNextId(kind, 0); id > 0; id = getNextId(kind, id)) yield id;
}

/** Opens an object by its host id, calls `use` and closes it. Undefined if the object is gone. @throws as Fd */
export function withObject<T>(kind: Kind, id: number, use: (fd: number) => T): T | undefined {
  using fd = new Fd(getFdById(kind, id));
  return fd.isOpen ? use(fd.number) : undefined;
}
