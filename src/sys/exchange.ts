/** renameat2(2) */
import { check } from './errno.js';
import { renameat2 } from './libc.js';

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

/** Swaps two files or directories in one step: nobody sees only one of them renamed. @throws SyscallError */
export function exchange(a: string, b: string): void {
  check(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 'renameat2', `cannot exchange '${a}' and '${b}'`);
}
