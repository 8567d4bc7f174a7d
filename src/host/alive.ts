/** Finds out what keeps an object alive, as far as the kernel shows it. */
import { fstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HostObject } from '../model/host-object.js';
import { type Kind, kinds } from '../model/ids.js';
import { bpf, getInfoByFd, getNextId, hostIds, mapLookup, withObject } from '../sys/bpf.js';
import { check } from '../sys/errno.js';
import { bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type } from '../sys/kernel.gen.js';
import { addressOf, close, O_DIRECTORY, O_RDONLY, open } from '../sys/libc.js';
import { cgroup2Mount } from './cgroups.js';
import { detailsOf } from './details.js';

/** One line per reason; empty if none was found. */
export function reasonsAlive(object: HostObject): string[] {
  return [
    ...object.users.map(({ pid, comm }) => `a file descriptor of ${comm}[${pid}]`),
    ...object.pins.map((path) => `the pin ${path}`),
    ...referrers(object.kind, object.hostId),
    ...(object.kind === 'map' || object.kind === 'prog' ? elements(object.kind, object.hostId) : []),
    ...(object.kind === 'prog'
      ? cgroupAttachments(object.hostId).map(({ path, type }) => `an attachment to cgroup ${path} (${type})`)
      : []),
    ...(object.kind === 'btf' && object.type === 'kernel' ? ['the kernel itself'] : []),
  ];
}

/** Objects that use it: programs use their maps and BTF, maps their BTF, links their program. */
function referrers(kind: Kind, host: number): string[] {
  return kinds.flatMap((other) =>
    [...hostIds(other)].flatMap((id) => {
      const details = detailsOf(other, id);
      const uses = details?.refers.some(([usedKind, used]) => usedKind === kind && used === host);
      return uses ? [`${other} ${id}${details?.name ? ` '${details.name}'` : ''} (${details?.type})`] : [];
    }),
  );
}

/** Types of maps whose elements are objects: where the id is in what a lookup gives. */
const containers: Readonly<Record<'map' | 'prog', ReadonlyMap<string, number>>> = {
  map: new Map([
    ['array_of_maps', 0],
    ['hash_of_maps', 0],
  ]),
  prog: new Map([
    ['prog_array', 0],
    // After the number of the device, or the size of the queue.
    ['devmap', 4],
    ['devmap_hash', 4],
    ['cpumap', 4],
  ]),
};
const MAX_ELEMENTS = 65536;

function elements(kind: 'map' | 'prog', host: number): string[] {
  return mapsThatHold(kind, host).map(({ map, type }) => `an element of map ${map} (${type})`);
}

/** Maps that have an object as an element: a lookup in such a map returns ids. */
export function mapsThatHold(
  kind: 'map' | 'prog',
  host: number,
): Array<{ readonly map: number; readonly type: string }> {
  return [...hostIds('map')].flatMap((map) => {
    const type = detailsOf('map', map)?.type ?? '';
    const offset = containers[kind].get(type);
    if (offset === undefined) return [];
    const isIn = withObject('map', map, (fd) => holdsElement(fd, host, offset));
    return isIn ? [{ map, type }] : [];
  });
}

function holdsElement(map: number, host: number, offset: number): boolean {
  const KEY_ROOM = 512;
  const key = Buffer.alloc(KEY_ROOM);
  const next = Buffer.alloc(KEY_ROOM);
  const value = Buffer.alloc(8);
  for (let i = 0; i < MAX_ELEMENTS; i++) {
    const call = Buffer.alloc(32);
    call.writeInt32LE(map, bpf_attr.map_fd);
    if (i > 0) call.writeBigUInt64LE(addressOf(key), bpf_attr.key);
    call.writeBigUInt64LE(addressOf(next), bpf_attr.next_key);
    if (bpf(bpf_cmd.BPF_MAP_GET_NEXT_KEY, call, call.length) < 0) return false;
    next.copy(key);
    if (mapLookup(map, key, value) === 0 && value.readUInt32LE(offset) === host) return true;
  }
  return false;
}

/** The attach types of cgroups, by the names of enum bpf_attach_type. */
const cgroupTypes = Object.entries(bpf_attach_type).filter(([name]) => name.startsWith('BPF_CGROUP_'));
const MAX_CGROUPS = 4096;

export interface CgroupAttachment {
  /** The path in the v2 hierarchy: '/' for its root. */
  readonly path: string;
  /** 'cgroup_inet_egress', ... */
  readonly type: string;
  /** @throws SyscallError */
  readonly detach: () => void;
}

/** The cgroups that a program is attached to without a link (BPF_PROG_ATTACH). */
export function cgroupAttachments(prog: number): CgroupAttachment[] {
  const root = cgroup2Mount();
  if (!root || getNextId('prog', prog - 1) !== prog) return [];
  const found: CgroupAttachment[] = [];
  const linked = cgroupLinks(prog);
  const waiting = [root];
  for (let i = 0; i < MAX_CGROUPS; i++) {
    const directory = waiting.shift();
    if (directory === undefined) break;
    for (const [name, type] of attachedTypes(directory, prog, linked)) {
      const path = directory.slice(root.length) || '/';
      found.push({ path, type: name, detach: () => detachFrom(directory, type, prog) });
    }
    for (const name of subdirectories(directory)) waiting.push(join(directory, name));
  }
  return found;
}

/** None if it is gone: a container may make and remove cgroups of its own at any time. */
function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

type Places = ReadonlyMap<string, number>;

function placeOf(cgroup: bigint, type: number): string {
  return `${cgroup} ${type}`;
}

/** The cgroups and attach types at which links attach a program, and how often. */
function cgroupLinks(prog: number): Places {
  const places = new Map<string, number>();
  const info = Buffer.alloc(bpf_link_info.sizeof);
  for (const id of hostIds('link')) {
    info.fill(0);
    withObject('link', id, (fd) => getInfoByFd(fd, info, info.length));
    if (info.readUInt32LE(bpf_link_info.type) !== bpf_link_type.BPF_LINK_TYPE_CGROUP) continue;
    if (info.readUInt32LE(bpf_link_info.prog_id) !== prog) continue;
    const type = info.readUInt32LE(bpf_link_info.cgroup_attach_type);
    const place = placeOf(info.readBigUInt64LE(bpf_link_info.cgroup_cgroup_id), type);
    places.set(place, (places.get(place) ?? 0) + 1);
  }
  return places;
}

/** Without attachments by links, which a query does not distinguish. */
function attachedTypes(directory: string, prog: number, linked: Places): Array<readonly [name: string, type: number]> {
  const fd = open(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return [];
  try {
    const { ino } = fstatSync(fd, { bigint: true }); // for a cgroup this is its id
    return cgroupTypes
      .filter(([, type]) => {
        const attached = queryCgroup(fd, type).filter((each) => each === prog).length;
        return attached > (linked.get(placeOf(ino, type)) ?? 0);
      })
      .map(([name, type]) => [name.slice('BPF_'.length).toLowerCase(), type] as const);
  } finally {
    close(fd);
  }
}

/** The programs attached to a cgroup itself, including those of links. */
function queryCgroup(fd: number, type: number): number[] {
  const MAX = 64;
  const progs = Buffer.alloc(MAX * 4);
  const call = Buffer.alloc(bpf_attr.query_prog_attach_flags);
  call.writeInt32LE(fd, bpf_attr.query_target_fd);
  call.writeUInt32LE(type, bpf_attr.query_attach_type);
  call.writeUInt32LE(MAX, bpf_attr.query_prog_cnt);
  call.writeBigUInt64LE(addressOf(progs), bpf_attr.query_prog_ids);
  if (bpf(bpf_cmd.BPF_PROG_QUERY, call, call.length) < 0) return [];
  const count = Math.min(call.readUInt32LE(bpf_attr.query_prog_cnt), MAX);
  return Array.from({ length: count }, (_, i) => progs.readUInt32LE(i * 4));
}

function detachFrom(directory: string, type: number, prog: number): void {
  const target = check(open(directory, O_RDONLY | O_DIRECTORY), 'open', `cannot open cgroup '${directory}'`);
  try {
    const result = withObject('prog', prog, (fd) => {
      const attr = Buffer.alloc(bpf_attr.attach_flags);
      attr.writeInt32LE(target, bpf_attr.target_fd);
      attr.writeInt32LE(fd, bpf_attr.attach_bpf_fd);
      attr.writeUInt32LE(type, bpf_attr.attach_type);
      return bpf(bpf_cmd.BPF_PROG_DETACH, attr, attr.length);
    });
    check(result ?? 0, 'bpf', 'cannot detach it');
  } finally {
    close(target);
  }
}
