/** Takes over what another process holds for trapped calls: its listeners and its journal. */
import { check } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { getFd, openProcess } from '../sys/task.js';
import type { Estate } from './protocol.js';

/** The same estate in fds of our own, ours to close. @throws SyscallError if the journal cannot be had */
export function takeOver({ pid, journal, listeners }: Estate): Estate {
  const owner = check(openProcess(pid), 'pidfd_open', `cannot find process ${pid}`);
  try {
    const own = check(getFd(owner, journal), 'pidfd_getfd', `cannot take the journal of process ${pid}`);
    const saved = listeners.flatMap((listener) => {
      const fd = getFd(owner, listener.fd);
      return fd < 0 ? [] : [{ ...listener, fd }];
    });
    return { pid: process.pid, journal: own, listeners: saved };
  } finally {
    close(owner);
  }
}
