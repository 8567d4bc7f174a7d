/** What keeps an object alive, and what keeps that alive, as a graph. */
import type { Graph, GraphEdge, GraphNode, HostObject } from '../model/host-object.js';
import { type Kind, kinds } from '../model/ids.js';
import { cgroupAttachments, mapsThatHold } from './alive.js';
import { detailsOf } from './details.js';
import { inventory, type Records } from './inventory.js';

/** How one object refers to another. */
const verbs: Readonly<Record<Kind, string>> = { map: 'describes itself with', prog: 'uses', link: 'attaches', btf: '' };

/** undefined if there is no such object. @throws SyscallError */
export function aliveGraph(kind: Kind, id: number, records: Records): Graph | undefined {
  const all = new Map(inventory(kinds, records).map((object) => [keyOf(object.kind, object.hostId), object]));
  const target = all.get(keyOf(kind, id));
  if (!target) return undefined;
  const referrers = referrersOf([...all.values()]);
  const nodes = new Map<string, GraphNode>();
  const edges: GraphEdge[] = [];
  const add = (node: GraphNode, to: string, label: string): void => {
    if (!nodes.has(node.id)) nodes.set(node.id, node);
    edges.push({ from: node.id, to, label });
  };
  const waiting = [target];
  nodes.set(keyOf(kind, id), nodeOf(target));
  for (let object = waiting.shift(); object; object = waiting.shift()) {
    const to = keyOf(object.kind, object.hostId);
    for (const { pid, comm } of object.users) {
      add({ id: `process ${pid}`, type: 'process', label: [`${comm}[${pid}]`] }, to, 'fd');
    }
    for (const path of object.pins) add({ id: `pin ${path}`, type: 'pin', label: [path] }, to, 'pin');
    const elements =
      object.kind === 'map' || object.kind === 'prog'
        ? mapsThatHold(object.kind, object.hostId).map(({ map }) => ({
            key: keyOf('map', map),
            label: 'has as element',
          }))
        : [];
    for (const { key, label } of [...(referrers.get(to) ?? []), ...elements]) {
      const referrer = all.get(key);
      if (!referrer) continue;
      if (!nodes.has(key)) waiting.push(referrer);
      add(nodeOf(referrer), to, label);
    }
    if (object.kind !== 'prog') continue;
    for (const { path, type } of cgroupAttachments(object.hostId)) {
      add({ id: `cgroup ${path}`, type: 'cgroup', label: [`cgroup ${path}`] }, to, type);
    }
  }
  return { nodes: [...nodes.values()], edges };
}

const keyOf = (kind: Kind, host: number): string => `${kind} ${host}`;

/** By object: the objects that refer to it. */
function referrersOf(all: readonly HostObject[]): Map<string, Array<{ readonly key: string; readonly label: string }>> {
  const referrers = new Map<string, Array<{ key: string; label: string }>>();
  for (const { kind, hostId } of all) {
    for (const [used, host] of detailsOf(kind, hostId)?.refers ?? []) {
      const key = keyOf(used, host);
      referrers.set(key, [...(referrers.get(key) ?? []), { key: keyOf(kind, hostId), label: verbs[kind] }]);
    }
  }
  return referrers;
}

function nodeOf({ kind, hostId, name, type, namespace, id }: HostObject): GraphNode {
  const title = `${kind} ${hostId}${name ? ` '${name}'` : ''}`;
  return { id: keyOf(kind, hostId), type: 'object', label: [title, type, `${kind} ${id} in ${namespace.path}`] };
}
