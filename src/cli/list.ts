/** `bpfns map|prog|link|btf list`, `bpfns who`: the host's view, in words or JSON. */

import { printable } from '../control/printable.js';
import { cgroup2Mount } from '../host/cgroups.js';
import { containerTitle } from '../model/container.js';
import type { HostObject, ObjectReport } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import { dot } from './dot.js';
import { agentStatus, findNamespace, graph, namespaces, objects, report } from './host-view.js';
import { type Column, json, table } from './output.js';
import { bytes } from './quantities.js';

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

/** @param ns path or id of a namespace: lists only what it and its descendants own */
export async function listObjects(kind: Kind, ns: string | undefined, asJson: boolean): Promise<string> {
  const wanted = ns === undefined ? undefined : await withAllBelow(ns);
  const found = (await objects(kind)).filter(({ namespace }) => !wanted || wanted.has(namespace.id));
  return asJson ? json({ objects: found }) : table(objectColumns, found);
}

/** A namespace and all below it. */
async function withAllBelow(ns: string): Promise<ReadonlySet<number>> {
  const all = await namespaces();
  const wanted = new Set([findNamespace(all, ns).id]);
  // Parents come before children.
  for (const { id, parent } of all) if (parent !== null && wanted.has(parent)) wanted.add(id);
  return wanted;
}

/** Describes one object. */
export async function who(kind: Kind, id: number, asJson: boolean): Promise<string> {
  const found = await report(kind, id);
  if (asJson) return json(found);
  return [...describeReport(found), ...(found.isByAgent ? await agentsMemory(found) : [])].map(printable).join('\n');
}

/** What the agent has loaded for the top-level namespace of an object, and the bound. */
async function agentsMemory({ namespace }: ObjectReport): Promise<string[]> {
  const status = await agentStatus();
  const [top] = namespace.path.split('/');
  const budget = status?.budgets.find(({ path }) => path === top);
  if (!budget) return [];
  const { programMemory, maxProgramMemory } = budget;
  return [
    `  such memory   ${bytes(programMemory)} of ${bytes(maxProgramMemory)} in namespace ${top}, with all below it`,
  ];
}

/** What keeps it alive, and what keeps that alive, for dot(1). */
export async function whoGraph(kind: Kind, id: number): Promise<string> {
  return dot(await graph(kind, id));
}

/** In words, a line each; names as they are: {@link printable} is the caller's. */
export function describeReport(found: ObjectReport): string[] {
  const { kind, hostId: id } = found;
  const { creator, containers, visibleIn, keptAliveBy, isCut, ...object } = found;
  const isKernels = kind === 'btf' && object.type === 'kernel';
  return [
    `${kind} ${id}${object.name ? ` '${object.name}'` : ''}, ${object.type}`,
    isKernels
      ? '  belongs to    the kernel; visible in every namespace'
      : `  belongs to    namespace ${label(object.namespace)}, where it is ${kind} ${object.id}`,
    ...containers.map((container) => `  container     ${[container.id, containerTitle(container)].join('  ').trim()}`),
    creator
      ? `  created by    ${creator.comm}[${creator.pid}], uid ${creator.uid}${inCgroup(creator.cgroup)}, at ${creator.time}`
      : '  created by    not recorded: it was created before the recorder was in place, or by the kernel',
    `  memory        ${bytes(object.memory)}${object.isByAgent ? ', charged to the agent, which loaded it' : ''}`,
    `  visible in    ${visibleIn.map(({ namespace, id: its }) => `${label(namespace)} as ${its}`).join('; ')}`,
    ...(keptAliveBy.length > 0
      ? keptAliveBy.map((reason, i) => `  ${i === 0 ? 'kept alive by' : '             '} ${reason}`)
      : [
          '  kept alive by a reference that is not listed here: a pin in a bpffs that is not mounted here, a socket,',
          '                a network device, or one that is just going away',
        ]),
    ...(isCut ? ['  long lists and texts are cut'] : []),
  ];
}

/** Not recorded, so 0, where the agent has made the object for its creator. */
function inCgroup({ id, path }: { readonly id: string; readonly path: string | null }): string {
  if (id === '0') return '';
  const why = cgroup2Mount() ? 'gone, or not below the cgroup2 mount' : 'no cgroup2 is mounted here';
  return `, cgroup ${path ?? `id ${id} (${why})`}`;
}

function label({ id, path }: { readonly id: number; readonly path: string }): string {
  return id === 0 || path === String(id) ? path : `${id}:${path}`;
}
