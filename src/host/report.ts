/** Everything that can be told of one object. */
import type { ObjectReport } from '../model/host-object.js';
import { hostId, type Kind } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import { readLabels } from '../recorder/container-labels.js';
import { reasonsAlive } from './alive.js';
import { inventory, readRecords } from './inventory.js';

/** undefined if there is no such object. @throws SyscallError */
export function objectReport(kind: Kind, id: number): ObjectReport | undefined {
  const records = readRecords();
  const object = inventory([kind], records).find((each) => each.hostId === id);
  if (!object) return undefined;
  const visibleIn = chain(records.model.ownerOf(kind, hostId(id))).map((namespace) => ({
    namespace: { id: namespace.id as number, name: namespace.spec.name, path: namespace.path },
    id: records.model.idIn(namespace, kind, hostId(id)) as number,
  }));
  return { ...object, containers: readLabels(object.namespace.id), visibleIn, keptAliveBy: reasonsAlive(object) };
}

function chain(namespace: Namespace): Namespace[] {
  return namespace.parent ? [...chain(namespace.parent), namespace] : [namespace];
}
