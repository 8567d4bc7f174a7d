/** Makes the repository accessible to guests that run as another user. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const OTHERS_MAY_ENTER = 0o001;

function isOpen(directory: string): boolean {
  return (statSync(directory).mode & OTHERS_MAY_ENTER) !== 0;
}

function isPublic(directory: string): boolean {
  return isOpen(directory) && (directory === '/' || isPublic(dirname(directory)));
}

/**
 * @returns `directory`; or, if a directory above it is closed to other users, as /root is, the path of
 *   a bind mount, which is unmounted when this process exits
 * @throws Error if `directory` itself is closed
 */
export function publicPath(directory: string): string {
  if (isPublic(directory) || process.geteuid?.() !== 0) return directory;
  if (!isOpen(directory)) throw new Error(`${directory} is closed to other users, whom tests run guests as`);
  const path = mkdtempSync('/tmp/bpfns-tests-');
  execFileSync('mount', ['--bind', directory, path]);
  process.on('exit', () => {
    process.chdir('/');
    // Lazily, since a failed test may have left a process there.
    execFileSync('umount', ['--lazy', path]);
    rmdirSync(path);
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
  return path;
}
