/**
 * The host's view: every object with its owner, creator, users and pins. It reads the kernel and
 * the recorder's pinned maps, and needs no agent: where nothing is recorded, everything belongs to init.
 */
import { existsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import type { HostObject, Process } from '../model/host-object.js';
import { type HostId, hostId, type Kind } from '../model/ids.js';
import { Namespaces } from '../model/namespaces.js';
import { Inspector } from '../recorder/inspector.js';
import type { MapName } from '../recorder/loading.js';
import { type Creator, forEachBtfNumber, forEachObject, readNamespaces } from '../recorder/records.js';
import { requireOwnLayout } from '../recorder/state.js';
import { hostIds, objGet } from '../sys/bpf.js';
import { toDate } from '../sys/clock.js';
import { check, E } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { cgroupPath } from './cgroups.js';
import { type Details, detailsOf } from './details.js';
import { findPins } from './pins.js';

/** The recorded state: the model, and who created what. */
export interface Records {
  readonly model: Namespaces;
  readonly creatorOf: (kind: Kind, host: HostId) => Creator | undefined;
}

/** @throws SyscallError; StateError if another version has recorded */
export function readRecords(): Records {
  requireOwnLayout();
  const model = new Namespaces();
  const creators = new Map<string, Creator>();
  if (existsSync(paths.maps)) {
    withMap('namespaces', (fd) => {
      for (const spec of readNamespaces(fd)) model.add(spec);
    });
    withMap('objects', (fd) =>
      forEachObject(fd, ({ kind, host, owner, ids }, creator) => {
        const namespace = model.get(owner);
        if (namespace) model.record(kind, host, namespace, ids);
        creators.set(`${kind} ${host}`, creator);
      }),
    );
    withMap('ids', (fd) =>
      forEachBtfNumber(fd, (ns, host) => {
        const namespace = model.get(ns);
        if (namespace && !model.isRecorded('btf', host)) model.numberKernelBtf(namespace, host);
      }),
    );
  }
  return { model, creatorOf: (kind, host) => creators.get(`${kind} ${host}`) };
}

/** Opens a map of the recorder; undefined if there is none: nothing is recorded. @throws SyscallError, StateError */
export function withMap<T>(name: MapName, use: (fd: number) => T): T | undefined {
  requireOwnLayout();
  const path = `${paths.maps}/${name}`;
  const found = objGet(path);
  if (found === -E.ENOENT) return undefined; // the agent is just leaving
  const fd = check(found, 'bpf', `cannot open the agent's state '${path}'`);
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

/** The host ids of a kind, without details. */
export function idsOf(kind: Kind): number[] {
  return [...hostIds(kind)];
}

/** Every object of the given kinds, in the order of their host ids. @throws SyscallError */
export function inventory(wanted: readonly Kind[], records: Records): HostObject[] {
  // The iterators create objects themselves: list first, so that these do not appear.
  const found = wanted.flatMap((kind) =>
    [...hostIds(kind)].flatMap((host) => {
      const details = detailsOf(kind, host);
      return details ? [{ kind, host: hostId(host), details }] : [];
    }),
  );
  const users = groupUsers();
  const pins = groupBy(findPins(), ({ kind, host }) => `${kind} ${host}`);
  return found.map(({ kind, host, details }) => describe(kind, host, details, records, users, pins));
}

function describe(
  kind: Kind,
  host: HostId,
  details: Details,
  { model, creatorOf }: Records,
  users: ReadonlyMap<string, readonly Process[]>,
  pins: ReadonlyMap<string, ReadonlyArray<{ path: string }>>,
): HostObject {
  const owner = model.ownerOf(kind, host);
  const creator = creatorOf(kind, host);
  const key = `${kind} ${host}`;
  return {
    kind,
    hostId: host,
    namespace: { id: owner.id, name: owner.spec.name, path: owner.path },
    id: model.idIn(owner, kind, host),
    name: details.name,
    type: details.type,
    creator: creator
      ? {
          pid: creator.pid,
          comm: creator.comm,
          uid: creator.uid,
          cgroup: { id: String(creator.cgroupId), path: cgroupPath(creator.cgroupId) ?? null },
          time: toDate(creator.createdNs).toISOString(),
        }
      : null,
    users: users.get(key) ?? [],
    pins: (pins.get(key) ?? []).map(({ path }) => path),
  };
}

function groupUsers(): Map<string, Process[]> {
  const reader = new Inspector();
  try {
    const processes = new Map<string, Map<number, Process>>();
    for (const { kind, host, pid, comm } of reader.objectUsers()) {
      const key = `${kind} ${host}`;
      const known = processes.get(key) ?? new Map<number, Process>();
      known.set(pid, { pid, comm });
      processes.set(key, known);
    }
    return new Map([...processes].map(([key, known]) => [key, [...known.values()]]));
  } finally {
    reader.close();
  }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
