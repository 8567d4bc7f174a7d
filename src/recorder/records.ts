/** Reads and writes the recorder's maps: the records as typed values. */

import { type HostId, hostId, INIT, type Kind, kinds, type NamespaceId, namespaceId } from '../model/ids.js';
import { type Namespace, type NamespaceSpec, tracingModes } from '../model/namespaces.js';
import { mapForEach, mapInParts, mapLookup } from '../sys/bpf.js';
import { cString } from '../sys/c-string.js';
import {
  BPFNS_KEEP,
  BPFNS_NAME_LEN,
  BPFNS_PINS_ANY,
  BPFNS_TRACING_SHIFT,
  bpfns_counter,
  bpfns_counter_key,
  bpfns_creator,
  bpfns_id_key,
  bpfns_namespace,
  bpfns_object,
  bpfns_object_key,
  bpfns_status,
  bpfns_task,
} from '../sys/contract.gen.js';
import { check } from '../sys/errno.js';

export interface Creator {
  readonly pid: number;
  readonly tid: number;
  readonly uid: number;
  readonly comm: string;
  /** In the cgroup v2 hierarchy. */
  readonly cgroupId: bigint;
  /** In nanoseconds of CLOCK_BOOTTIME. */
  readonly createdNs: bigint;
}

export interface ObjectRecord {
  readonly kind: Kind;
  readonly host: HostId;
  readonly owner: NamespaceId;
  /** ids[level], from 0 (the host id) to the owner's level. */
  readonly ids: readonly number[];
}

/** Decodes `struct bpfns_object` at `at`. */
export function decodeObject(kind: number, host: number, value: Buffer, at = 0): ObjectRecord {
  const level = value.readUInt32LE(at + bpfns_object.level);
  return {
    kind: kinds[kind] ?? 'map',
    host: hostId(host),
    owner: namespaceId(value.readUInt32LE(at + bpfns_object.owner)),
    ids: Array.from({ length: level + 1 }, (_, i) => value.readUInt32LE(at + bpfns_object.ids + i * 4)),
  };
}

function decodeCreator(value: Buffer): Creator {
  return {
    pid: value.readUInt32LE(bpfns_object.pid),
    tid: value.readUInt32LE(bpfns_object.tid),
    uid: value.readUInt32LE(bpfns_object.uid),
    comm: cString(value, bpfns_object.comm, 16),
    cgroupId: value.readBigUInt64LE(bpfns_object.cgroup_id),
    createdNs: value.readBigUInt64LE(bpfns_object.created_ns),
  };
}

/** Every record of the map "objects". @throws SyscallError */
export function forEachObject(fd: number, visit: (object: ObjectRecord, creator: Creator) => void): void {
  const result = mapForEach(fd, bpfns_object_key.sizeof, bpfns_object.sizeof, (key, value) => {
    visit(decodeKeyed(key, value), decodeCreator(value));
  });
  check(result, 'bpf', UNREADABLE);
}

/** The same, some of them each time it is asked to go on. Its `next` throws SyscallError. */
export function* objectsInParts(fd: number, visit: (object: ObjectRecord) => void): Generator<void> {
  const result = yield* mapInParts(fd, bpfns_object_key.sizeof, bpfns_object.sizeof, (key, value) => {
    visit(decodeKeyed(key, value));
  });
  check(result, 'bpf', UNREADABLE);
}

const UNREADABLE = 'cannot read the object records';

function decodeKeyed(key: Buffer, value: Buffer): ObjectRecord {
  const kind = key.readUInt32LE(bpfns_object_key.kind);
  return decodeObject(kind, key.readUInt32LE(bpfns_object_key.host_id), value);
}

/** The record of one object; undefined if there is none. `fd` is the map "objects". */
export function readObject(
  fd: number,
  kind: Kind,
  host: HostId,
): { readonly object: ObjectRecord; readonly creator: Creator } | undefined {
  const key = Buffer.alloc(bpfns_object_key.sizeof);
  key.writeUInt32LE(kinds.indexOf(kind), bpfns_object_key.kind);
  key.writeUInt32LE(host, bpfns_object_key.host_id);
  const value = Buffer.alloc(bpfns_object.sizeof);
  if (mapLookup(fd, key, value) < 0) return undefined;
  return { object: decodeObject(kinds.indexOf(kind), host, value), creator: decodeCreator(value) };
}

/** Every number of a BTF in any namespace, those that the kernel owns included. @throws SyscallError */
export function forEachBtfNumber(fd: number, visit: (ns: NamespaceId, host: HostId) => void): void {
  const btf = kinds.indexOf('btf');
  const result = mapForEach(fd, bpfns_id_key.sizeof, 4, (key, value) => {
    if (key.readUInt32LE(bpfns_id_key.kind) !== btf) return;
    visit(namespaceId(key.readUInt32LE(bpfns_id_key.ns)), hostId(value.readUInt32LE(0)));
  });
  check(result, 'bpf', 'cannot read the number spaces');
}

/** Every namespace, parents first. @throws SyscallError */
export function readNamespaces(fd: number): NamespaceSpec[] {
  const found: Array<{ level: number; spec: NamespaceSpec }> = [];
  const result = mapForEach(fd, 4, bpfns_namespace.sizeof, (key, value) => {
    found.push({
      level: value.readUInt32LE(bpfns_namespace.level),
      spec: {
        id: namespaceId(key.readUInt32LE(0)),
        parent: namespaceId(value.readUInt32LE(bpfns_namespace.parent)),
        name: cString(value, bpfns_namespace.name, BPFNS_NAME_LEN),
        pinsAny: (value.readUInt32LE(bpfns_namespace.flags) & BPFNS_PINS_ANY) !== 0,
        userNs: Number(value.readBigUInt64LE(bpfns_namespace.user_ns)),
        ownerUid: value.readUInt32LE(bpfns_namespace.owner_uid),
        createdNs: value.readBigUInt64LE(bpfns_namespace.created_ns),
        keep: (value.readUInt32LE(bpfns_namespace.flags) & BPFNS_KEEP) !== 0,
        tracing: tracingModes[(value.readUInt32LE(bpfns_namespace.flags) >>> BPFNS_TRACING_SHIFT) & 3] ?? 'none',
        maxNamespaces: value.readUInt32LE(bpfns_namespace.max_namespaces),
      },
    });
  });
  check(result, 'bpf', 'cannot read the namespaces');
  return found.sort((a, b) => a.level - b.level).map(({ spec }) => spec);
}

export function encodeNamespace({ spec, level, top, keep, ancestry }: Namespace): Buffer {
  const value = Buffer.alloc(bpfns_namespace.sizeof);
  const flags = (spec.pinsAny ? BPFNS_PINS_ANY : 0) | (keep ? BPFNS_KEEP : 0);
  value.writeUInt32LE(top.id, bpfns_namespace.top);
  value.writeUInt32LE(spec.parent, bpfns_namespace.parent);
  value.writeUInt32LE(level, bpfns_namespace.level);
  value.writeUInt32LE(flags | (tracingModes.indexOf(spec.tracing) << BPFNS_TRACING_SHIFT), bpfns_namespace.flags);
  ancestry.forEach((id, at) => {
    value.writeUInt32LE(id, bpfns_namespace.ancestors + at * 4);
  });
  value.writeUInt32LE(spec.maxNamespaces, bpfns_namespace.max_namespaces);
  value.writeUInt32LE(spec.ownerUid, bpfns_namespace.owner_uid);
  value.writeBigUInt64LE(BigInt(spec.userNs), bpfns_namespace.user_ns);
  value.writeBigUInt64LE(spec.createdNs, bpfns_namespace.created_ns);
  value.write(spec.name, bpfns_namespace.name, BPFNS_NAME_LEN - 1, 'utf8');
  return value;
}

/** For whom a thread of the agent makes an object (`struct bpfns_creator`). */
export interface StandIn extends Pick<Creator, 'pid' | 'tid' | 'uid' | 'comm'> {
  readonly namespace: NamespaceId;
}

/** The context of the program `act_for`; undefined: the thread acts for itself again. */
export function encodeCreator(creator: StandIn | undefined): Buffer {
  const value = Buffer.alloc(bpfns_creator.sizeof);
  if (!creator) return value;
  value.writeUInt32LE(creator.namespace, bpfns_creator.ns);
  value.writeUInt32LE(creator.pid, bpfns_creator.pid);
  value.writeUInt32LE(creator.tid, bpfns_creator.tid);
  value.writeUInt32LE(creator.uid, bpfns_creator.uid);
  value.write(creator.comm, bpfns_creator.comm, 15, 'utf8');
  return value;
}

/** What every namespace has counters of, in the order of `enum bpfns_kind`; then BPFNS_TASKS. */
export const counted = [...kinds, 'task'] as const;

export function counterKey(ns: NamespaceId, what: (typeof counted)[number]): Buffer {
  const key = Buffer.alloc(bpfns_counter_key.sizeof);
  key.writeUInt32LE(ns, bpfns_counter_key.ns);
  key.writeUInt32LE(counted.indexOf(what), bpfns_counter_key.kind);
  return key;
}

/** A new `struct bpfns_counter`. */
export function newCounter(floor: number): Buffer {
  const value = Buffer.alloc(bpfns_counter.sizeof);
  value.writeUInt32LE(floor, bpfns_counter.floor);
  return value;
}

/** The namespace of the thread behind a pidfd, from the map "tasks"; init if the thread has no state. */
export function readNamespaceOf(fd: number, pidfd: number): NamespaceId {
  const key = Buffer.alloc(4);
  key.writeInt32LE(pidfd);
  const value = Buffer.alloc(bpfns_task.sizeof);
  return mapLookup(fd, key, value) < 0 ? INIT : namespaceId(value.readUInt32LE(bpfns_task.ns));
}

export interface RecorderStatus {
  readonly ringOverflows: number;
  readonly lostObjects: number;
  readonly lostTasks: number;
  /** Of these, the tasks of which not even that is known. */
  readonly lostUnknown: number;
  readonly refused: number;
  /** Returns that no hook saw, and after which the call's object was found. */
  readonly caughtUp: number;
  /** Those after which none was found. */
  readonly unseen: number;
}

export function readStatus(fd: number): RecorderStatus {
  const value = statusOf(fd);
  return {
    ringOverflows: Number(value.readBigUInt64LE(bpfns_status.ring_overflows)),
    lostObjects: Number(value.readBigUInt64LE(bpfns_status.lost_objects)),
    lostTasks: Number(value.readBigUInt64LE(bpfns_status.lost_tasks)),
    lostUnknown: Number(value.readBigUInt64LE(bpfns_status.lost_unknown)),
    refused: Number(value.readBigUInt64LE(bpfns_status.refused)),
    caughtUp: Number(value.readBigUInt64LE(bpfns_status.caught_up)),
    unseen: Number(value.readBigUInt64LE(bpfns_status.unseen)),
  };
}

/** The newest host id of a kind that the recorder knows of. */
export function readNewest(fd: number): (kind: Kind) => HostId {
  const value = statusOf(fd);
  return (kind) => hostId(value.readUInt32LE(bpfns_status.newest + kinds.indexOf(kind) * 4));
}

function statusOf(fd: number): Buffer {
  const value = Buffer.alloc(bpfns_status.sizeof);
  check(mapLookup(fd, Buffer.alloc(4), value), 'bpf', "cannot read the recorder's status");
  return value;
}
