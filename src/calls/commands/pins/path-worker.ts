/** A worker thread of path-resolver.ts. It takes the caller's view for one request, and then its own again. */
import { statfsSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { getInfoByFd, objGet } from '../../../sys/bpf.js';
import { check, E, Refusal } from '../../../sys/errno.js';
import { actAs, type FsIdentity, openInRoot, openPath, privateFs } from '../../../sys/fs-identity.js';
import { bpf_link_info } from '../../../sys/kernel.gen.js';
import { addressOf, close, fchdir, O_CLOEXEC, O_DIRECTORY, O_PATH, open } from '../../../sys/libc.js';
import { openIn, statusIn } from '../../../sys/proc-dir.js';
import { getFd } from '../../../sys/task.js';
import type { OpenPinRequest, PathRequest, SeenPath, SeePathRequest } from './path-resolver.js';

const fs = privateFs();
const AT_FDCWD = -100;
const PROC_SUPER_MAGIC = 0x9fa0;
/** Links of procfs to the caller's own root, directory and fds. */
const ownLink = /^\/+proc\/+(?:self|thread-self)\/+(?:(cwd|root)|fd\/+(\d+))(\/.*)?$/s;
/** Names every fd of the agent, and so the one that the lookup found. */
const ownFds = check(open('/proc/self/fd', O_PATH | O_DIRECTORY | O_CLOEXEC), 'open', "cannot open '/proc/self/fd'");

function openPin(request: OpenPinRequest): number {
  const { directory, flags, pathFd } = request;
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
      const [, link, fd, rest] = own;
      start = link === 'root' ? root : link === 'cwd' ? cwd : takeFd(Number(fd));
      if (start < 0) return -E.ENOENT;
      path = Buffer.from(rest === undefined && fd !== undefined ? '' : `.${rest ?? ''}`, 'latin1');
    } else if (start !== AT_FDCWD) {
      // An absolute path ignores it, as in the kernel.
      start = takeFd(start);
      if (start < 0 && path[0] !== SLASH) return -E.EBADF;
    }
    const effective = request.capabilities;
    return actAs(fs, { root, cwd, ...identity, effective }, () => {
      const found = path.length === 0 ? start : keep(openPath(start, path));
      return found < 0 ? found : openFound(found, flags);
    });
  } finally {
    for (const fd of opened) close(fd);
  }
}

const SLASH = 0x2f;

/** Opens it through its fd. The path is not resolved again, so nobody can replace a part of it in between. */
function openFound(fd: number, flags: number): number {
  const moved = fchdir(ownFds);
  return moved < 0 ? moved : objGet(String(fd), flags);
}

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

/** The kernel makes the path for the root directory of the thread that asks. */
function seePath({ directory, link, room }: SeePathRequest): SeenPath {
  using theirs = openIn(directory, 'root', O_PATH | O_DIRECTORY | O_CLOEXEC);
  const root = theirs.number;
  const info = Buffer.alloc(bpf_link_info.sizeof);
  const path = Buffer.alloc(room);
  if (room > 0) info.writeBigUInt64LE(addressOf(path), bpf_link_info.uprobe_multi_path);
  info.writeUInt32LE(room, bpf_link_info.uprobe_multi_path_size);
  const result =
    root < 0 ? -E.ESRCH : actAs(fs, { ...fs, root, cwd: root }, () => getInfoByFd(link, info, info.length));
  const size = info.readUInt32LE(bpf_link_info.uprobe_multi_path_size);
  return { result: Math.min(result, 0), path: path.subarray(0, size), size };
}

/** @returns -ENOMEM if no descriptor is left */
function answer(request: PathRequest): number | SeenPath {
  try {
    return 'link' in request ? seePath(request) : openPin(request);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return 'link' in request ? { result: -error.errno, path: Buffer.alloc(0), size: 0 } : -error.errno;
  }
}

parentPort?.on('message', (request: PathRequest) => {
  parentPort?.postMessage(answer(request));
});
