/**
 * Walks directories by their fds. Each call with a path resolves it again, and whoever may write to
 * a directory above can replace a part of it with a symbolic link or another directory in between.
 * An open directory stays the same.
 */
import { isUtf8 } from 'node:buffer';
import { readdirSync, statfsSync } from 'node:fs';
import { Fd } from './fd.js';
import { openHow, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from './fs-identity.js';
import { O_CLOEXEC, O_DIRECTORY, O_PATH, O_RDONLY, unlinkat } from './libc.js';

export interface Entry {
  readonly name: Buffer;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
}

/** The entries of an open directory. @throws Node's SystemError */
export function entriesOf(directory: Fd): Entry[] {
  // Through procfs, since Node reads directories only by path.
  return readdirSync(`/proc/self/fd/${directory.number}`, { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
    name: entry.name as unknown as Buffer,
    isDirectory: entry.isDirectory(),
    isFile: entry.isFile(),
  }));
}

const BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

/** Opens a directory in an open directory: no link (ELOOP), no other file system (EXDEV). */
export function openDirectoryIn(directory: Fd, name: Buffer): Fd {
  return new Fd(openHow(directory.number, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, BENEATH));
}

/** Like {@link openDirectoryIn} for any file, without access to its contents (O_PATH). */
export function openFileIn(directory: Fd, name: Buffer): Fd {
  return new Fd(openHow(directory.number, name, O_PATH | O_CLOEXEC, BENEATH));
}

/** A mount point below `root`, as an O_PATH fd. */
export function openMountPoint(root: Fd, path: Buffer): Fd {
  return new Fd(openHow(root.number, path, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS));
}

/** Removes a name from an open directory. @returns 0 or -errno */
export function removeFrom(directory: Fd, name: Buffer): number {
  return unlinkat(directory.number, Buffer.concat([name, Buffer.alloc(1)]), 0);
}

/** The type of an open file's file system: a magic number of <linux/magic.h>. */
export function magicOf(file: Fd): number {
  return statfsSync(`/proc/self/fd/${file.number}`).type;
}

/** A path as text. Bytes that are not UTF-8 appear as \xHH. */
export function pathText(path: Buffer): string {
  if (isUtf8(path)) return path.toString('utf8');
  return path.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`);
}
