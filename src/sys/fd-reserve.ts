/**
 * Keeps a process from running out of file descriptors in the middle of its work: raises its limit,
 * and holds some descriptors back for that moment.
 */
import { readFileSync } from 'node:fs';
import { close, fcntl, O_CLOEXEC, O_RDONLY, open, prlimit, whenOutOfFds } from './libc.js';

export const RLIMIT_NOFILE = 7;
const F_DUPFD_CLOEXEC = 1030;
/** As many as a service manager gives. */
const WANTED = 1_048_576;
/** What a few answers take at once. */
const RESERVE = 64;

/** Raises this process's limit, and that of its children, as far as it may. */
export function raiseFdLimit(): void {
  const limits = Buffer.alloc(16);
  if (prlimit(0, RLIMIT_NOFILE, null, limits) < 0) return;
  const most = BigInt(Math.min(WANTED, Number(readFileSync('/proc/sys/fs/nr_open', 'latin1'))));
  if (limits.readBigUInt64LE(0) >= most) return;
  if (limits.readBigUInt64LE(8) < most) limits.writeBigUInt64LE(most, 8);
  limits.writeBigUInt64LE(most, 0);
  prlimit(0, RLIMIT_NOFILE, limits, null); // EPERM without CAP_SYS_RESOURCE: it stays as it is
}

/** What is always left for other threads, and for Node. */
const SPARE = 8;

/** What to tell whoever is refused because {@link FdReserve.isWhole} is false. */
export const tooManyFiles = 'the agent has too many open files: raise its limit (ulimit -n, LimitNOFILE=)';

/** One for the process. The system calls of this thread that find no descriptor left take from it. */
export class FdReserve {
  #fds: number[] = [];
  #isChecking = false;
  readonly #more: () => void;

  /** @param more called when the reserve is used up: closes what can be opened again. @throws SyscallError */
  constructor(more: () => void) {
    this.#more = more;
    this.check();
    whenOutOfFds(() => this.#give());
  }

  /** Whether nothing was taken from it. What keeps descriptors open for long must not begin otherwise. */
  get isWhole(): boolean {
    return this.#fds.length > 0;
  }

  /**
   * To be called now and then. Fills it up again once there is room. Gives it up when others than this
   * thread, which do not take from it, are about to find nothing.
   */
  check(): void {
    const wanted = SPARE + (this.isWhole ? 0 : RESERVE);
    this.#isChecking = true;
    const first = open('/dev/null', O_RDONLY | O_CLOEXEC);
    const fds = [first, ...Array.from({ length: wanted - 1 }, () => fcntl(first, F_DUPFD_CLOEXEC, 0))];
    this.#isChecking = false;
    const isRoom = fds.every((fd) => fd >= 0);
    if (isRoom) this.#fds.push(...fds.splice(SPARE));
    for (const fd of fds) if (fd >= 0) close(fd);
    if (!isRoom && this.isWhole) this.#give();
  }

  close(): void {
    whenOutOfFds(() => false);
    for (const fd of this.#fds.splice(0)) close(fd);
  }

  #give(): boolean {
    if (this.#isChecking) return false;
    const fds = this.#fds.splice(0);
    for (const fd of fds) close(fd);
    if (fds.length === 0) this.#more();
    return true;
  }
}
