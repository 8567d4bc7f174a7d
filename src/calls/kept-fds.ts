/**
 * Files of callers that stay open between calls: opening one costs as much as a whole answer should.
 *
 * - /proc/TID/mem, by the address of the kernel's structure of that memory. The open file pins the
 *   structure, so no other memory can get its address. exec(2) and the end of a process give new
 *   addresses.
 * - Pidfds of threads, by thread id. As long as one leads to a thread, no other thread has the number.
 */
import type { Fd } from '../sys/fd.js';

/** The number of open files of each sort. The least recently used one is closed first. */
export const MOST_KEPT = 128;

export class KeptFds<F extends Fd = Fd> {
  /** In the order of the last use, once there are many. */
  readonly #open = new Map<number, F>();

  /** It stays open until the next {@link keep}. */
  get(key: number): F | undefined {
    const fd = this.#open.get(key);
    if (fd && this.#open.size > MOST_KEPT / 2) {
      this.#open.delete(key);
      this.#open.set(key, fd);
    }
    return fd;
  }

  /** Takes over the file, which must be proved to be that of the key. */
  keep(key: number, fd: F): void {
    this.drop(key);
    this.#open.set(key, fd);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= MOST_KEPT) break;
      this.drop(oldest);
    }
  }

  drop(key: number): void {
    this.#open.get(key)?.close();
    this.#open.delete(key);
  }

  close(): void {
    for (const fd of this.#open.values()) fd.close();
    this.#open.clear();
  }
}
