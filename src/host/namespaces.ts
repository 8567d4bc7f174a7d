/** The namespaces and their tasks, as the host sees them. */
import { existsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import type { ContainerLabels } from '../model/container.js';
import { type HostId, hostId, INIT, inodeOf, type Kind, kinds, type NamespaceId } from '../model/ids.js';
import type { Namespace, TracingMode } from '../model/namespaces.js';
import { readLabels } from '../recorder/container-labels.js';
import { Inspector, type Member } from '../recorder/inspector.js';
import { readNamespaceOf } from '../recorder/records.js';
import { hostIds, objGet } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { openThread } from '../sys/task.js';
import type { Records } from './inventory.js';

/** One namespace. This is also the JSON of `bpfns ls`. */
export interface NamespaceSummary {
  readonly id: number;
  readonly inode: number;
  readonly name: string;
  readonly path: string;
  readonly level: number;
  readonly parent: number | null;
  /** The number of processes in it; null for init, which has all others. */
  readonly tasks: number | null;
  /** The number of live objects that it owns. */
  readonly objects: Readonly<Record<Kind, number>>;
  readonly ownerUid: number;
  readonly tracing: TracingMode;
  /** Whether it lives without tasks and objects (`bpfns create`). */
  readonly keep: boolean;
  /** Whether only objects keep it alive: no task, no child, no `create`. */
  readonly orphaned: boolean;
  /** The containers in it, or the last one; empty if no container runtime created it. */
  readonly containers: readonly ContainerLabels[];
}

/** Every thread in a namespace other than init. @throws SyscallError */
export function readMembers(): Member[] {
  const reader = new Inspector();
  try {
    return reader.members().filter(({ ns }) => ns !== 0);
  } finally {
    reader.close();
  }
}

/** The namespace of a thread. @throws SyscallError if the thread does not exist */
export function namespaceOfTask(tid: number): NamespaceId {
  using pidfd = openThread(tid, () => tid).checked('pidfd_open', `cannot find process ${tid}`);
  using tasks = new Fd(existsSync(`${paths.maps}/tasks`) ? objGet(`${paths.maps}/tasks`) : -E.ENOENT);
  return tasks.isOpen ? readNamespaceOf(tasks.number, pidfd.number) : INIT;
}

/** Every namespace, init first, parents before children. @throws SyscallError */
export function namespaceSummaries({ model }: Records): NamespaceSummary[] {
  const live = new Map(kinds.map((kind) => [kind, [...hostIds(kind)].map(hostId)]));
  const tasks = new Map<number, Set<number>>();
  if (model.all().length > 1) {
    for (const { ns, pid } of readMembers()) tasks.set(ns, (tasks.get(ns) ?? new Set()).add(pid));
  }
  const owned = (namespace: Namespace, kind: Kind): HostId[] =>
    (live.get(kind) ?? []).filter((host) => model.ownerOf(kind, host) === namespace);
  return model.all().map((namespace) => {
    const isInit = namespace === model.init;
    const count = isInit ? null : (tasks.get(namespace.id)?.size ?? 0);
    return {
      id: namespace.id,
      inode: inodeOf(namespace.id),
      name: namespace.spec.name,
      path: namespace.path,
      level: namespace.level,
      parent: namespace.parent?.id ?? null,
      tasks: count,
      objects: {
        map: owned(namespace, 'map').length,
        prog: owned(namespace, 'prog').length,
        link: owned(namespace, 'link').length,
        btf: owned(namespace, 'btf').length,
      },
      ownerUid: namespace.spec.ownerUid,
      tracing: namespace.spec.tracing,
      keep: namespace.keep,
      orphaned: !isInit && count === 0 && namespace.children.size === 0 && !namespace.keep,
      containers: readLabels(namespace.id),
    };
  });
}
