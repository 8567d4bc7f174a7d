/** Reads through iterators which process uses which object, and which task is in which namespace. */
import { existsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { type Kind, kinds } from '../model/ids.js';
import { objGet } from '../sys/bpf.js';
import { cString } from '../sys/c-string.js';
import { bpfns_member, bpfns_object_user } from '../sys/contract.gen.js';
import { type Attached, BpfObject } from '../sys/libbpf.js';
import { close, read } from '../sys/libc.js';
import { bpfObjectPath } from '../sys/object-path.js';

/** TASK_COMM_LEN. */
const COMM = 16;

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
    return this.#iterate('members', bpfns_member.sizeof, (record) => ({
      ns: record.readUInt32LE(bpfns_member.ns),
      next: record.readUInt32LE(bpfns_member.next),
      pid: record.readUInt32LE(bpfns_member.pid),
      tid: record.readUInt32LE(bpfns_member.tid),
      comm: cString(record, bpfns_member.comm, COMM),
    }));
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#object?.close();
    this.#object = undefined;
  }

  #iterate<T>(program: string, size: number, decode: (record: Buffer) => T): T[] {
    const object = this.#object ?? this.#load();
    const link = this.#links.get(program) ?? object.attach(program);
    this.#links.set(program, link);
    const fd = link.iterate();
    try {
      const bytes = readAll(fd);
      return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) =>
        decode(bytes.subarray(i * size, (i + 1) * size)),
      );
    } finally {
      close(fd);
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

function readAll(fd: number): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const part = Buffer.alloc(65536);
    const length = read(fd, part, part.length);
    if (length <= 0) return Buffer.concat(parts);
    parts.push(part.subarray(0, length));
  }
}
