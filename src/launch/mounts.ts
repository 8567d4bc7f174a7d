/** A mount namespace for the command. */
import { dirname } from 'node:path';
import { check, E } from '../sys/errno.js';
import { mount, setns, unshare } from '../sys/libc.js';
import { MountFlag } from '../sys/mount-flags.js';

const CLONE_NEWNS = 0x20000;
const CLONE_FS = 0x200;

/** @throws SyscallError */
export function leaveMountNamespace(): void {
  check(unshare(CLONE_NEWNS), 'unshare', 'cannot make a mount namespace');
}

/**
 * Moves the calling thread, with its root and working directory: Node's other threads stay.
 * @param fd of the mount namespace @throws SyscallError
 */
export function enterMountNamespace(fd: number): void {
  check(unshare(CLONE_FS), 'unshare', 'cannot have a root directory of its own');
  check(setns(fd, CLONE_NEWNS), 'setns', 'cannot enter the mount namespace');
}

/**
 * What is mounted at `place` from now on stays in this mount namespace; mounts from outside still
 * arrive. The mount that holds `place` decides, and in a chroot that need not be the root directory.
 @throws SyscallError
 */
export function keepMounts(place: string): void {
  const result = mount('none', place, '', MountFlag.slave, null);
  const isNoMount = result === -E.EINVAL || result === -E.ENOENT;
  if (isNoMount && place !== '/') keepMounts(dirname(place));
  else check(result, 'mount', `cannot keep mounts at '${place}' from the host`);
}
