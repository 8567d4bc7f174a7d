/**
 * Puts the view of tracefs in the place of the real one, in a mount namespace of this process: a command with
 * tracing=own reads there which tracepoints there are, whoever it runs as, and not everybody's trace.
 */
import { existsSync } from 'node:fs';
import { allowedTracepoints } from '../filter/tracepoints.js';
import { check } from '../sys/errno.js';
import { mount } from '../sys/libc.js';
import { MountFlag } from '../sys/mount-flags.js';
import { fillView, isViewAt } from '../sys/tracefs-view.js';
import { keepMounts, leaveMountNamespace } from './mounts.js';

/** Tools look in both; in debugfs the kernel mounts it at the first look. */
const places = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** @param view the directory of the agent's view @throws SyscallError */
export function replaceTracefs(view: string): void {
  leaveMountNamespace();
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
