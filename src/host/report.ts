/** Everything that can be told of one object. */
import type { ObjectReport } from '../model/host-object.js';
import { hostId, type Kind } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import { readLabels } from '../recorder/container-labels.js';
import { withObject } from '../sys/bpf.js';
import { memoryOf } from '../sys/bpf-usage.js';
import { btfInfo } from '../sys/btf-info.js';
import { reasonsAlive } from './alive.js';
import { inventory, readRecords } from './inventory.js';

/** With tracing=own or filtered; with none there are no such programs. */
const loadedByAgent: readonly string[] = ['kprobe', 'tracepoint', 'perf_event', 'raw_tracepoint'];

/** undefined if there is no such object. @throws SyscallError */
export function objectReport(kind: Kind, id: number): ObjectReport | undefined {
  const records = readRecords();
  const object = inventory([kind], records).find((each) => each.hostId === id);
  if (!object) return undefined;
  const owner = records.model.ownerOf(kind, hostId(id));
  const visibleIn = chain(owner).map((namespace) => ({
    namespace: { id: namespace.id as number, name: namespace.spec.name, path: namespace.path },
    id: records.model.idIn(namespace, kind, hostId(id)) as number,
  }));
  return {
    ...object,
    containers: readLabels(object.namespace.id),
    memory: memoryOfObject(kind, id),
    isByAgent: kind === 'prog' && owner.spec.tracing !== 'host' && loadedByAgent.includes(object.type),
    visibleIn,
    keptAliveBy: reasonsAlive(object),
  };
}

function chain(namespace: Namespace): Namespace[] {
  return namespace.parent ? [...chain(namespace.parent), namespace] : [namespace];
}

/** In bytes; 0 for links, of which the kernel does not tell, and if the object is gone. */
function memoryOfObject(kind: Kind, host: number): number {
  if (kind === 'link') return 0;
  const read = kind === 'btf' ? (fd: number): number => btfInfo(fd)?.length ?? 0 : memoryOf;
  return withObject(kind, host, read) ?? 0;
}
