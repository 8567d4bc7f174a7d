/** The tasks in namespaces, as the host sees them. */
import { existsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import type { NamespaceProcess } from '../model/host-object.js';
import { INIT, type NamespaceId } from '../model/ids.js';
import type { Inspector } from '../recorder/inspector.js';
import { readNamespaceOf } from '../recorder/records.js';
import { requireOwnLayout } from '../recorder/state.js';
import { objGet } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { openThread } from '../sys/task.js';

/** Every process with a thread in a namespace other than init, once for each such namespace. @throws SyscallError */
export function readProcesses(inspector: Inspector): NamespaceProcess[] {
  const found = new Map<string, NamespaceProcess>();
  // A process has the name of one of its threads: its leader may have ended.
  for (const { ns: namespace, pid, comm } of inspector.members()) {
    if (namespace !== INIT) found.set(`${namespace} ${pid}`, { namespace, pid, comm });
  }
  return [...found.values()];
}

/** The namespace of a thread. @throws SyscallError if the thread does not exist; StateError */
export function namespaceOfTask(tid: number): NamespaceId {
  requireOwnLayout();
  using pidfd = openThread(tid, () => tid).checked('pidfd_open', `cannot find process ${tid}`);
  using tasks = new Fd(existsSync(`${paths.maps}/tasks`) ? objGet(`${paths.maps}/tasks`) : -E.ENOENT);
  return tasks.isOpen ? readNamespaceOf(tasks.number, pidfd.number) : INIT;
}
