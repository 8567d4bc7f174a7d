/**
 * Puts the view of tracefs in the place of the real one, in a mount namespace of this process: a command with
 * tracing=own reads there which tracepoints there are, whoever it runs as, and not everybody's trace.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { allowedTracepoints } from '../filter/tracepoints.js';
import { check, E } from '../sys/errno.js';
import { mount, unshare } from '../sys/libc.js';
import { MountFlag } from '../sys/mount-flags.js';
import { fillView, isViewAt } from '../sys/tracefs-view.js';

const CLONE_NEWNS = 0x20000;
/** Tools look in both; in debugfs the kernel mounts it at the first look. */
const places = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** @param view the directory of the agent's view @throws SyscallError */
export function replaceTracefs(view: string): void {
  check(unshare(CLONE_NEWNS), 'unshare', 'cannot make a mount namespace');
  // A mount namespace that had been cut off before, by unshare(1) for example, does not have the agent's mount.
  if (!isViewAt(view)) {
    keepMounts(view);
    for (const _ of fillView(view, allowedTracepoints));
  }
  for (const place of places.filter((each) => existsSync(each))) {
    keepMounts(place);
    check(mount(view, place, '', MountFlag.bind, null), 'mount', `cannot mount the view of tracefs at '${place}'`);
  }
}

/**
 * What is mounted at `place` from now on stays in this mount namespace; mounts from outside still
 * arrive. The mount that holds `place` decides, and in a chroot that need not be the root directory.
 */
function keepMounts(place: string): void {
  const result = mount('none', place, '', MountFlag.slave, null);
  const isNoMount = result === -E.EINVAL || result === -E.ENOENT;
  if (isNoMount && place !== '/') keepMounts(dirname(place));
  else check(result, 'mount', `cannot keep mounts at '${place}' from the host`);
}
