/**
 * Open memories of callers, kept between calls: opening one costs as much as a whole answer should.
 * An open /proc/PID/mem pins the kernel's structure of that memory, so no other memory can get its
 * address. exec(2) and the end of a process give new addresses.
 */
import type { Fd } from '../sys/fd.js';

/** The number of open memories. The least recently used one is closed first. */
export const MOST_MEMORIES = 128;

export class Memories {
  /** By the address of the kernel's structure, in the order of the last use. */
  readonly #open = new Map<number, Fd>();

  /** It stays open until the next {@link keep}. */
  get(address: number): Fd | undefined {
    const memory = this.#open.get(address);
    if (memory && this.#open.size > MOST_MEMORIES / 2) {
      this.#open.delete(address);
      this.#open.set(address, memory);
    }
    return memory;
  }

  /** Takes over the memory, which must be proved to be the one at that address. */
  keep(address: number, memory: Fd): void {
    this.#open.get(address)?.close();
    this.#open.delete(address);
    this.#open.set(address, memory);
    for (const [oldest, each] of this.#open) {
      if (this.#open.size <= MOST_MEMORIES) break;
      each.close();
      this.#open.delete(oldest);
    }
  }

  close(): void {
    for (const memory of this.#open.values()) memory.close();
    this.#open.clear();
  }
}
