/** Makes a mount step by step: fsopen(2), fsconfig(2), fsmount(2), move_mount(2). */
import { check } from './errno.js';
import { Fd } from './fd.js';
import { SYS, syscall3, syscallFsconfig, syscallFsopen, syscallMoveMount } from './libc.js';

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
/** MOUNT_ATTR_NOSUID, NODEV, NOEXEC */
const SAFE = 0x2 | 0x4 | 0x8;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
const AT_FDCWD = -100;

/**
 * A context of a new file system, which will belong to this process's user namespace. The caller
 * closes it. @throws SyscallError
 */
export function openContext(type: string): Fd {
  return new Fd(syscallFsopen(SYS.fsopen, type, FSOPEN_CLOEXEC)).checked('fsopen', `cannot make a ${type}`);
}

/** @returns 0 or -errno: EINVAL for a value that the kernel does not know */
export function setOption(context: Fd, key: string, value: string): number {
  return syscallFsconfig(SYS.fsconfig, context.number, FSCONFIG_SET_STRING, key, value, 0);
}

/** Makes the file system. @returns 0 or -errno */
export function createIn(context: Fd): number {
  return syscallFsconfig(SYS.fsconfig, context.number, FSCONFIG_CMD_CREATE, null, null, 0);
}

/** Mounts the file system of a context at a directory of this process. @throws SyscallError */
export function mountContext(context: Fd, place: string): void {
  using made = new Fd(syscall3(SYS.fsmount, context.number, FSMOUNT_CLOEXEC, SAFE));
  made.checked('fsmount', 'cannot mount the new file system');
  const moved = syscallMoveMount(SYS.move_mount, made.number, '', AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH);
  check(moved, 'move_mount', `cannot mount the new file system at '${place}'`);
}
