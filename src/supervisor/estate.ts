/** Takes over another process's estate: its listeners and its journal. */
import { getFd, openProcess } from '../sys/task.js';
import type { Estate } from './protocol.js';

/**
 * Copies the fds of an estate into this process. The caller closes them. @throws SyscallError if
 * the journal is not available
 */
export function takeOver({ pid, journal, listeners }: Estate): Estate {
  using owner = openProcess(pid).checked('pidfd_open', `cannot find process ${pid}`);
  const own = getFd(owner, journal).checked('pidfd_getfd', `cannot take the journal of process ${pid}`).release();
  const saved = listeners.flatMap((listener) => {
    const fd = getFd(owner, listener.fd).release();
    return fd < 0 ? [] : [{ ...listener, fd }];
  });
  return { pid: process.pid, journal: own, listeners: saved };
}
