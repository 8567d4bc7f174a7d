/** Reads through iterators which process uses which object, and which task is in which namespace. */
import { existsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { type Kind, kinds } from '../model/ids.js';
import { objGet } from '../sys/bpf.js';
import { cString } from '../sys/c-string.js';
import { bpfns_member, bpfns_object_user } from '../sys/contract.gen.js';
import { E, SyscallError } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { type Attached, BpfObject } from '../sys/libbpf.js';
import { close, read } from '../sys/libc.js';
import { bpfObjectPath } from '../sys/object-path.js';

/** TASK_COMM_LEN. */
const COMM = 16;
/** Bytes to read at a time: some hundred records, which take a few milliseconds to make. */
const PART = 32 * 1024;

export interface ObjectUser {
  readonly kind: Kind;
  readonly host: number;
  /** As seen from this process. */
  readonly pid: number;
  readonly comm: string;
  /** The bpf_cookie of a perf_event link. */
  readonly cookie: bigint | undefined;
}

export interface Member {
  readonly ns: number;
  /** The namespace of the task's next child, if one was just created for it; else 0. */
  readonly next: number;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
}

/** Loads the iterators at the first use. Close it when done. */
export class Inspector {
  #object: BpfObject | undefined;
  readonly #links = new Map<string, Attached>();

  /** One entry per fd: a process with two fds of an object appears twice. @throws SyscallError */
  objectUsers(): ObjectUser[] {
    return [...this.objectUsersInParts()].flat();
  }

  /** As {@link objectUsers}, a few hundred at a time: there may be very many. @throws SyscallError */
  objectUsersInParts(): Generator<ObjectUser[]> {
    return this.#iterate('object_users', bpfns_object_user.sizeof, (record) => ({
      kind: kinds[record.readUInt32LE(bpfns_object_user.kind)] ?? 'map',
      host: record.readUInt32LE(bpfns_object_user.host_id),
      pid: record.readUInt32LE(bpfns_object_user.pid),
      comm: cString(record, bpfns_object_user.comm, COMM),
      cookie: record.readUInt32LE(bpfns_object_user.has_cookie)
        ? record.readBigUInt64LE(bpfns_object_user.cookie)
        : undefined,
    }));
  }

  /** Every thread in a namespace other than init. @throws SyscallError */
  members(): Member[] {
    const parts = this.#iterate('members', bpfns_member.sizeof, (record) => ({
      ns: record.readUInt32LE(bpfns_member.ns),
      next: record.readUInt32LE(bpfns_member.next),
      pid: record.readUInt32LE(bpfns_member.pid),
      tid: record.readUInt32LE(bpfns_member.tid),
      comm: cString(record, bpfns_member.comm, COMM),
    }));
    return [...parts].flat();
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#object?.close();
    this.#object = undefined;
  }

  /** What one read of the iterator gives, decoded. */
  *#iterate<T>(program: string, size: number, decode: (record: Buffer) => T): Generator<T[]> {
    const object = this.#object ?? this.#load();
    const link = this.#links.get(program) ?? object.attach(program);
    this.#links.set(program, link);
    using iterator = new Fd(link.iterate());
    const part = Buffer.alloc(PART);
    for (let kept = 0; ; ) {
      const length = read(iterator.number, part.subarray(kept), PART - kept);
      // The kernel has passed a million tasks or fds that are of no interest, and wants to be asked again.
      if (length === -E.EAGAIN) continue;
      // Tasks that were not seen must not seem to be gone.
      if (length < 0) throw new SyscallError(-length, 'read', `cannot read the iterator '${program}'`);
      if (length === 0) return;
      const whole = Math.floor((kept + length) / size);
      yield Array.from({ length: whole }, (_, i) => decode(part.subarray(i * size, (i + 1) * size)));
      part.copy(part, 0, whole * size, kept + length);
      kept += length - whole * size;
    }
  }

  #load(): BpfObject {
    const object = new BpfObject(bpfObjectPath('inspect'));
    const opened: number[] = [];
    try {
      for (const name of ['tasks', 'filters'] as const) {
        const pinned = `${paths.maps}/${name}`;
        const fd = existsSync(pinned) ? objGet(pinned) : -1;
        if (fd < 0) continue;
        opened.push(fd);
        object.reuseMap(name, fd);
      }
      object.load();
    } catch (error) {
      object.close();
      throw error;
    } finally {
      for (const fd of opened) close(fd);
    }
    this.#object = object;
    return object;
  }
}
