/** Processes that a caller names by pid. */
import { isSameOrAncestor } from '../../model/namespaces.js';
import type { Mirror } from '../../recorder/mirror.js';
import type { Fd } from '../../sys/fd.js';
import { hostPid } from '../../sys/pids.js';
import { openProcess } from '../../sys/task.js';
import type { Call } from '../call.js';

export interface OwnProcess {
  /** As seen from this process. It is its own as long as the process has not been waited for. */
  readonly pid: number;
  /** The receiver's to close. */
  readonly pidfd: Fd;
}

/**
 * The process that the caller calls `pid`, if it is in the caller's namespace or below. A task
 * outside looks like no task: the answer must not tell them apart. @throws CallerGone
 */
export function openOwnProcess({ caller, namespace }: Call, mirror: Mirror, number: number): OwnProcess | undefined {
  const pid = hostPid(caller.directory, number);
  if (pid === 0) return undefined;
  const pidfd = openProcess(pid);
  using task = mirror.tasks.open(pid);
  const owner = mirror.model.get(mirror.namespaceOf(task));
  if (pidfd.isOpen && owner && isSameOrAncestor(namespace, owner)) return { pid, pidfd };
  pidfd.close();
  return undefined;
}
