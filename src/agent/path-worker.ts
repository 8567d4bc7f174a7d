/** A worker thread of path-resolver.ts: becomes the caller for one look-up, then itself again. */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { objGet } from '../sys/bpf.js';
import { check, E } from '../sys/errno.js';
import { actAs, type FsIdentity, privateFs } from '../sys/fs-identity.js';
import { close, fchdir, O_CLOEXEC, O_DIRECTORY, O_PATH, open, openWithoutMagicLinks } from '../sys/libc.js';
import { getThreadFd } from '../sys/task.js';
import type { OpenPinRequest } from './path-resolver.js';

const AT_FDCWD = -100;
const fs = privateFs();
const ownFds = check(
  open('/proc/self/fd', O_PATH | O_DIRECTORY | O_CLOEXEC),
  'open',
  'cannot open the directory of its own fds',
);

function openPin(request: OpenPinRequest): number {
  const { tid, path, flags, pathFd } = request;
  const directory = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const opened: number[] = [];
  try {
    const root = keep(open(`/proc/${tid}/root`, directory));
    const cwd = keep(open(`/proc/${tid}/cwd`, directory));
    const identity = identityOf(tid);
    if (root < 0 || cwd < 0 || !identity) return -E.ESRCH;
    const needsFd = pathFd !== undefined && pathFd !== AT_FDCWD;
    const start = needsFd ? keep(getThreadFd(tid, pathFd, () => identity.tgid)) : AT_FDCWD;
    const isAbsolute = path[0] === 0x2f;
    if (start < 0 && start !== AT_FDCWD && !isAbsolute) return -E.EBADF;
    const effective = request.capabilities;
    return actAs(fs, { root, cwd, ...identity, effective }, () => {
      const pin = keep(openWithoutMagicLinks(start, Buffer.from(path), O_PATH | O_CLOEXEC));
      return pin < 0 ? pin : openThroughOwnFd(pin, flags);
    });
  } finally {
    for (const fd of opened) close(fd);
  }

  function keep(fd: number): number {
    if (fd >= 0) opened.push(fd);
    return fd;
  }
}

/**
 * BPF_OBJ_GET takes no fd, only a path. The guest's path is never given to it: in there
 * /proc/self/root would lead out of the guest's root, since this thread's process is the agent.
 */
function openThroughOwnFd(pin: number, flags: number): number {
  const moved = fchdir(ownFds);
  return moved < 0 ? moved : objGet(String(pin), flags);
}

/** The ids that file permissions are checked against, from /proc/TID/status. */
function identityOf(tid: number): (Pick<FsIdentity, 'fsuid' | 'fsgid' | 'groups'> & { tgid: number }) | undefined {
  try {
    const status = readFileSync(`/proc/${tid}/status`, 'latin1');
    const numbers = (key: string): number[] => {
      const line = new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
      return line === '' ? [] : line.split(/\s+/).map(Number);
    };
    const [fsuid, fsgid, tgid] = [numbers('Uid')[3], numbers('Gid')[3], numbers('Tgid')[0]];
    if (fsuid === undefined || fsgid === undefined || tgid === undefined) return undefined;
    return { fsuid, fsgid, groups: numbers('Groups'), tgid };
  } catch {
    return undefined;
  }
}

parentPort?.on('message', (request: OpenPinRequest) => {
  parentPort?.postMessage(openPin(request));
});
