/** Error numbers, and the one error type that carries them. */
import { constants } from 'node:os';

/** Errno values by name. Only the kernel has ENOTSUPP and EBADFD, so Node's list lacks them. */
export const E = { ...constants.errno, EBADFD: 77, ENOTSUPP: 524 } as const;

const names = new Map<number, string>(Object.entries(E).map(([name, value]) => [value, name]));

export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** A failed system call, in the shape of Node's own errors: match on `code`. */
export class SyscallError extends Error {
  override readonly name = 'SyscallError';
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  /** @param tried what was attempted, in words: "cannot open the pinned map '/x'" */
  constructor(errno: number, syscall: string, tried: string) {
    super(`${tried}: ${syscall}: ${errnoName(errno)}`);
    this.code = errnoName(errno);
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** A refusal that is an answer to a guest or command, not a fault of the agent. */
export class Refusal extends SyscallError {}

/**
 * Returns a result of the kernel's convention (>= 0, or -errno) unchanged, or throws.
 * @throws SyscallError
 */
export function check(result: number, syscall: string, tried: string): number {
  if (result < 0) throw new SyscallError(-result, syscall, tried);
  return result;
}
