/** Looks up paths as a caller sees them, for a worker thread: with the root, working directory and rights of that task. */
import { statfsSync } from 'node:fs';
import { check, E } from '../../../sys/errno.js';
import { actAs, type FsIdentity, openInRoot, openPath, privateFs } from '../../../sys/fs-identity.js';
import { close, O_CLOEXEC, O_DIRECTORY, O_PATH, open } from '../../../sys/libc.js';
import { openIn, statusIn } from '../../../sys/proc-dir.js';
import { getFd } from '../../../sys/task.js';
import type { CallerPath } from './path-request.js';

/** The view of this thread. */
export const ownView = privateFs();
const AT_FDCWD = -100;
const PROC_SUPER_MAGIC = 0x9fa0;
/** Links of procfs to the caller's own root, directory, program and fds. */
const ownLink = /^\/+proc\/+(?:self|thread-self)\/+(?:(cwd|root)(\/.*)?|fd\/+(\d+)(\/.*)?|exe)$/s;
/** Names every fd of the agent, and so the one that the lookup found. */
const ownFds = check(open('/proc/self/fd', O_PATH | O_DIRECTORY | O_CLOEXEC), 'open', "cannot open '/proc/self/fd'");

/**
 * @param use is called in the caller's view, with what was found: an fd opened with O_PATH, which is closed
 *   afterwards, and the directory in which the fds of the agent have their numbers as names
 * @returns what `use` returns, or -errno
 */
export function lookUp(request: CallerPath, use: (found: number, ownFds: number) => number): number {
  const { directory, pathFd } = request;
  const opened: number[] = [];
  const keep = (fd: number): number => {
    if (fd >= 0) opened.push(fd);
    return fd;
  };
  try {
    const root = keep(openIn(directory, 'root', O_PATH | O_DIRECTORY | O_CLOEXEC).release());
    const cwd = keep(openIn(directory, 'cwd', O_PATH | O_DIRECTORY | O_CLOEXEC).release());
    const identity = identityOf(directory);
    if (root < 0 || cwd < 0 || !identity) return -E.ESRCH;
    const takeFd = (fd: number): number => keep(getFd({ number: request.thread }, fd).release());

    let start = pathFd === undefined ? AT_FDCWD : pathFd;
    let path = Buffer.from(request.path);
    const own = ownLink.exec(path.toString('latin1'));
    if (own && keep(openInRoot(root, 'proc')) >= 0 && isProcfs(opened.at(-1) ?? -1)) {
      const [, link, below, fd, belowFd] = own;
      if (link !== undefined) start = link === 'root' ? root : cwd;
      else if (fd !== undefined) start = takeFd(Number(fd));
      else start = keep(openIn(directory, 'exe', O_PATH | O_CLOEXEC).release());
      if (start < 0) return -E.ENOENT;
      const rest = link === undefined ? belowFd : (below ?? '');
      path = Buffer.from(rest === undefined ? '' : `.${rest}`, 'latin1');
    } else if (start !== AT_FDCWD) {
      // An absolute path ignores it, as in the kernel.
      start = takeFd(start);
      if (start < 0 && path[0] !== SLASH) return -E.EBADF;
    }
    const effective = request.capabilities;
    return actAs(ownView, { root, cwd, ...identity, effective }, () => {
      const found = path.length === 0 ? start : keep(openPath(start, path));
      return found < 0 ? found : use(found, ownFds);
    });
  } finally {
    for (const fd of opened) close(fd);
  }
}

const SLASH = 0x2f;

function isProcfs(fd: number): boolean {
  return statfsSync(`/proc/self/fd/${fd}`).type === PROC_SUPER_MAGIC;
}

/** The ids that file permissions are checked against; undefined if the task is gone. */
function identityOf(directory: number): Pick<FsIdentity, 'fsuid' | 'fsgid' | 'groups'> | undefined {
  const status = statusIn(directory);
  const numbers = (key: string): number[] => {
    const line = new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
    return line === '' ? [] : line.split(/\s+/).map(Number);
  };
  const [fsuid, fsgid] = [numbers('Uid')[3], numbers('Gid')[3]];
  return fsuid === undefined || fsgid === undefined ? undefined : { fsuid, fsgid, groups: numbers('Groups') };
}
