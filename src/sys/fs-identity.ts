/**
 * Gives one thread another task's view of the file system: root, working directory, file system
 * ids, groups and capabilities. All of these are per thread in the kernel. The raw system calls are
 * used, since libc's wrappers change every thread.
 */
import { check } from './errno.js';
import {
  chroot,
  fchdir,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  open,
  SYS,
  syscall1,
  syscallGroups,
  syscallOpenat2,
  unshare,
} from './libc.js';
import { type Capabilities, permittedCapabilities, setEffectiveCapabilities } from './task.js';

export const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;

/** openat2(2); `flags` and `resolve` as it takes them. The fd is the caller's to close. */
export function openHow(start: number, path: Buffer, flags: number, resolve: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  return syscallOpenat2(SYS.openat2, start, Buffer.concat([path, Buffer.alloc(1)]), how, how.length);
}

/**
 * openat2(2) with O_PATH. It follows no link of procfs (ELOOP): a link to a process's own root,
 * directory or fds would lead to the agent's.
 */
export function openPath(start: number, path: Buffer, resolve = 0): number {
  return openHow(start, path, O_PATH | O_CLOEXEC, RESOLVE_NO_MAGICLINKS | resolve);
}

/** Like {@link openPath}, with `root` as the root directory. */
export function openInRoot(root: number, path: string): number {
  return openPath(root, Buffer.from(path), RESOLVE_IN_ROOT);
}

export interface FsIdentity {
  /** Fds opened with O_PATH. */
  readonly root: number;
  readonly cwd: number;
  readonly fsuid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly effective: Capabilities;
}

/** The thread's own view, to return to. */
export type PrivateFs = FsIdentity;

const CLONE_FS = 0x200;

/**
 * Separates the root and working directory of the calling thread from those of its process. Call it
 * once per thread.
 */
export function privateFs(): PrivateFs {
  check(unshare(CLONE_FS), 'unshare', 'cannot get a root and working directory of its own');
  const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const root = check(open('/', flags), 'open', "cannot open '/'");
  const groups = Buffer.alloc(65536 * 4);
  const count = check(syscallGroups(SYS.getgroups, 65536, groups), 'getgroups', 'cannot read the groups');
  return {
    root,
    cwd: root,
    fsuid: 0,
    fsgid: 0,
    groups: Array.from({ length: count }, (_, i) => groups.readUInt32LE(i * 4)),
    effective: permittedCapabilities(),
  };
}

/** Runs `action` with the view `other`, then restores `own`. @returns -errno if the view cannot be taken */
export function actAs(own: PrivateFs, other: FsIdentity, action: () => number): number {
  const mine = permittedCapabilities();
  try {
    const taken = become(other, other.effective & mine);
    return taken < 0 ? taken : action();
  } finally {
    setEffectiveCapabilities(mine);
    become(own, mine);
  }
}

function become(view: FsIdentity, effective: Capabilities): number {
  const groups = Buffer.alloc(Math.max(view.groups.length, 1) * 4);
  view.groups.forEach((group, i) => {
    groups.writeUInt32LE(group, i * 4);
  });
  for (const step of [
    () => fchdir(view.root),
    () => chroot('.'),
    () => fchdir(view.cwd),
    () => syscallGroups(SYS.setgroups, view.groups.length, groups),
  ]) {
    const result = step();
    if (result < 0) return result;
  }
  syscall1(SYS.setfsgid, view.fsgid);
  syscall1(SYS.setfsuid, view.fsuid); // may drop file capabilities, which the set below restores
  return setEffectiveCapabilities(effective);
}
