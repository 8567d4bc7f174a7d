/** File descriptors with one owner each. The owner closes it once, or hands it on explicitly. */
import { isMainThread } from 'node:worker_threads';
import { check, E, errnoName, Refusal } from './errno.js';
import { close } from './libc.js';

/**
 * Set by the tests: records where each open descriptor was created, to report those that are never
 * closed. Nobody asks the worker threads, whose memory would grow by it with every call.
 */
const isTracked = isMainThread && process.env.BPFNS_TRACK_FDS !== undefined;
const opened: Map<Fd, string> | undefined = isTracked ? new Map() : undefined;

/** The stacks at which the open descriptors were created. Empty unless BPFNS_TRACK_FDS is set. */
export function openFds(): string[] {
  return [...(opened?.values() ?? [])];
}

/**
 * The result of a call that opens a file descriptor: the descriptor, which this object owns, or the
 * error. Declare it with `using`, or {@link close} it. {@link release} hands it on.
 */
export class Fd implements Disposable {
  #result: number;

  /**
   * @param result a descriptor, which this object takes over, or -errno
   * @throws Refusal ENOMEM if it is EMFILE or ENFILE: that says nothing about what was to be opened, and
   *   whoever took it for an answer would, say, leave an object out of a list
   */
  constructor(result: number) {
    if (result === -E.EMFILE || result === -E.ENFILE) {
      throw new Refusal(E.ENOMEM, 'open', `process ${process.pid} has no file descriptor left (${errnoName(-result)})`);
    }
    this.#result = result;
    if (result >= 0) opened?.set(this, new Error(`fd ${result}`).stack ?? '');
  }

  get isOpen(): boolean {
    return this.#result >= 0;
  }

  /**
   * Its number, for immediate use in a system call; -errno if it could not be opened, -EBADF once
   * it is closed.
   */
  get number(): number {
    return this.#result;
  }

  /** Hands the number on to the caller, who closes it; -errno if there is none. */
  release(): number {
    const result = this.#result;
    this.#forget();
    return result;
  }

  /** Closes it. Does nothing if it is closed already, or could not be opened. */
  close(): void {
    if (this.#result < 0) return;
    close(this.#result);
    this.#forget();
  }

  /** Returns this object. @throws SyscallError if it could not be opened */
  checked(syscall: string, tried: string): this {
    check(this.#result, syscall, tried);
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #forget(): void {
    if (this.#result < 0) return;
    this.#result = -E.EBADF;
    opened?.delete(this);
  }
}
