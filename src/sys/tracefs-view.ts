/** A tmpfs with what tracing tools read of tracefs about some tracepoints: read-only, and for every user. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { check } from './errno.js';
import { mount, umount2 } from './libc.js';
import { MNT_DETACH, MountFlag } from './mount-flags.js';
import { openTracefs, type Tracepoint } from './tracepoint.js';

const TMPFS_FLAGS = MountFlag.noSuid | MountFlag.noDev | MountFlag.noExec;
/** A file takes a page, and there are two for each tracepoint. */
const OPTIONS = 'size=32m,mode=755';
/** Of all tracepoints, for libtraceevent. */
const HEADERS = ['events/header_page', 'events/header_event'];
/** Written when all else is there. */
const LAST = 'available_events';

export const isViewAt = (directory: string): boolean => existsSync(`${directory}/${LAST}`);

/**
 * Mounts it at a directory, which is made, and fills it: a tracepoint for each step, so that the caller can
 * do other things in between. @throws SyscallError
 */
export function* fillView(directory: string, choose: (root: string) => readonly Tracepoint[]): Generator<void> {
  mkdirSync(directory, { recursive: true });
  check(mount('bpfns', directory, 'tmpfs', TMPFS_FLAGS, OPTIONS), 'mount', `cannot mount a tmpfs at '${directory}'`);
  using tracefs = openTracefs();
  const copy = (path: string): void => makeFile(`${directory}/${path}`, readFileSync(`${tracefs.root}/${path}`));
  const all = choose(tracefs.root);
  makeDirectory(`${directory}/events`);
  for (const system of new Set(all.map((each) => each.system))) makeDirectory(`${directory}/events/${system}`);
  HEADERS.forEach(copy);
  for (const { system, name, id } of all) {
    const path = `events/${system}/${name}`;
    makeDirectory(`${directory}/${path}`);
    makeFile(`${directory}/${path}/id`, `${id}\n`);
    copy(`${path}/format`);
    yield;
  }
  makeFile(`${directory}/${LAST}`, all.map(({ system, name }) => `${system}:${name}\n`).join(''));
  const flags = MountFlag.remount | MountFlag.readOnly | TMPFS_FLAGS;
  check(mount('bpfns', directory, 'tmpfs', flags, OPTIONS), 'mount', `cannot make '${directory}' read-only`);
}

/** Unmounts and removes it. Where it is mounted elsewhere, it stays until it is unmounted there. */
export function removeView(directory: string): void {
  if (!existsSync(directory)) return;
  // Twice, if an earlier process died while it was filling it.
  while (umount2(directory, MNT_DETACH) === 0);
  rmdirSync(directory);
}

/** Whatever the umask is. */
function makeFile(path: string, content: string | Buffer): void {
  writeFileSync(path, content);
  chmodSync(path, 0o444);
}

function makeDirectory(path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
}
