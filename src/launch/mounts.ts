/** A mount namespace for the command. */
import { dirname } from 'node:path';
import { check, E } from '../sys/errno.js';
import { mount, unshare } from '../sys/libc.js';
import { MountFlag } from '../sys/mount-flags.js';

const CLONE_NEWNS = 0x20000;

/** @throws SyscallError */
export function leaveMountNamespace(): void {
  check(unshare(CLONE_NEWNS), 'unshare', 'cannot make a mount namespace');
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
