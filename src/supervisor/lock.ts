/** The lock that makes the supervisor, and with it the agent, the only one of its run directory. */
import { closeSync, fstatSync, mkdirSync, openSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { paths, runDir } from '../config/paths.js';
import { flock } from '../sys/libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes the lock. @returns an fd that holds it until the fd or the process ends; undefined if
 * another process has it
 */
export function takeLock(): number | undefined {
  for (;;) {
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    let fd: number;
    try {
      fd = openSync(paths.lock, 'w', 0o600);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue; // it has just exited
      throw error;
    }
    const isLocked = flock(fd, LOCK_EX | LOCK_NB) === 0;
    // The previous holder removes the file when it exits. A lock on a removed file is no lock.
    const isThere = fstatSync(fd).ino === statSync(paths.lock, { throwIfNoEntry: false })?.ino;
    if (isLocked && isThere) return fd;
    closeSync(fd);
    if (isThere) return undefined;
  }
}

/** Releases the lock, and removes the run directory if it is empty. */
export function releaseLock(fd: number): void {
  rmSync(paths.lock, { force: true });
  removeRunDir();
  closeSync(fd);
}

/** Removes the run directory if nothing is left in it. */
export function removeRunDir(): void {
  try {
    rmdirSync(runDir);
  } catch {
    // State for the next agent, or something that is not ours to remove.
  }
}
