/** `bpfns map|prog|link|btf list`, `bpfns who`: the host's view, in words or JSON. */

import { cgroup2Mount } from '../host/cgroups.js';
import { aliveGraph } from '../host/graph.js';
import { type HostObject, inventory, readRecords } from '../host/inventory.js';
import { type ObjectReport, objectReport } from '../host/report.js';
import { containerTitle } from '../model/container.js';
import type { Kind } from '../model/ids.js';
import { hostId } from '../model/ids.js';
import { isSameOrAncestor } from '../model/namespaces.js';
import { CliError } from './cli-error.js';
import { dot } from './dot.js';
import { findNamespace } from './namespaces.js';
import { type Column, json, printable, table } from './output.js';

const objectColumns: readonly Column<HostObject>[] = [
  { title: 'HOSTID', align: 'right', value: (object) => String(object.hostId) },
  { title: 'NAMESPACE', value: ({ namespace }) => label(namespace) },
  { title: 'ID', align: 'right', value: ({ id }) => String(id) },
  { title: 'TYPE', value: ({ type }) => type },
  { title: 'NAME', value: ({ name }) => name },
  { title: 'CREATOR', value: ({ creator }) => (creator ? `${creator.comm}[${creator.pid}]` : '') },
  { title: 'UID', align: 'right', value: ({ creator }) => (creator ? String(creator.uid) : '') },
  { title: 'USERS', value: ({ users }) => users.map(({ pid, comm }) => `${comm}[${pid}]`).join(',') },
  { title: 'PINS', value: ({ pins }) => pins.join(',') },
];

/** @param ns name or id of a namespace: lists only what it and its descendants own */
export function listObjects(kind: Kind, ns: string | undefined, asJson: boolean): string {
  const records = readRecords();
  const wanted = ns === undefined ? undefined : findNamespace(records.model, ns);
  const objects = inventory([kind], records).filter(
    (object) => !wanted || isSameOrAncestor(wanted, records.model.ownerOf(kind, hostId(object.hostId))),
  );
  return asJson ? json({ objects }) : table(objectColumns, objects);
}

/** Describes one object. */
export function who(kind: Kind, id: number, asJson: boolean): string {
  const report = objectReport(kind, id);
  if (!report) throw new CliError(`no ${kind} has the host id ${id}: see 'bpfns ${kind} list'`);
  return asJson ? json(report) : describeReport(report).map(printable).join('\n');
}

/** What keeps it alive, and what keeps that alive, for dot(1). */
export function whoGraph(kind: Kind, id: number): string {
  const graph = aliveGraph(kind, id, readRecords());
  if (!graph) throw new CliError(`no ${kind} has the host id ${id}: see 'bpfns ${kind} list'`);
  return dot(graph);
}

/** In words, a line each; names as they are: {@link printable} is the caller's. */
export function describeReport(report: ObjectReport): string[] {
  const { kind, hostId: id } = report;
  const { creator, containers, visibleIn, keptAliveBy, ...object } = report;
  const isKernels = kind === 'btf' && object.type === 'kernel';
  return [
    `${kind} ${id}${object.name ? ` '${object.name}'` : ''}, ${object.type}`,
    isKernels
      ? '  belongs to    the kernel; visible in every namespace'
      : `  belongs to    namespace ${label(object.namespace)}, where it is ${kind} ${object.id}`,
    ...containers.map((container) => `  container     ${[container.id, containerTitle(container)].join('  ').trim()}`),
    creator
      ? `  created by    ${creator.comm}[${creator.pid}], uid ${creator.uid}, cgroup ${cgroupTitle(creator.cgroup)}, at ${creator.time}`
      : '  created by    not recorded: it was created before the recorder was in place, or by the kernel',
    `  visible in    ${visibleIn.map(({ namespace, id: its }) => `${label(namespace)} as ${its}`).join('; ')}`,
    ...(keptAliveBy.length > 0
      ? keptAliveBy.map((reason, i) => `  ${i === 0 ? 'kept alive by' : '             '} ${reason}`)
      : [
          '  kept alive by a reference that is not listed here: a pin in a bpffs that is not mounted here, a socket,',
          '                a network device, or one that is just going away',
        ]),
  ];
}

function cgroupTitle({ id, path }: { readonly id: string; readonly path: string | null }): string {
  return path ?? `id ${id} (${cgroup2Mount() ? 'gone, or not below the cgroup2 mount' : 'no cgroup2 is mounted here'})`;
}

function label({ id, path }: { readonly id: number; readonly path: string }): string {
  return id === 0 || path === String(id) ? path : `${id}:${path}`;
}
