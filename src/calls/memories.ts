/**
 * Open memories of callers, kept from call to call: opening one costs as much as a whole answer
 * may take. An open /proc/PID/mem pins the structure that the kernel keeps a memory in, so that
 * no other memory can come to have its address: exec(2) and the end of a process give new ones.
 */
import type { Fd } from '../sys/fd.js';

/** Kept at a time; the one that was not asked for longest goes first. */
export const MOST_MEMORIES = 128;

export class Memories {
  /** By the address of the kernel's structure, in the order of their last use. */
  readonly #open = new Map<number, Fd>();

  /** Stays open until the next {@link keep}. */
  get(address: number): Fd | undefined {
    const memory = this.#open.get(address);
    if (memory && this.#open.size > MOST_MEMORIES / 2) {
      this.#open.delete(address);
      this.#open.set(address, memory);
    }
    return memory;
  }

  /** The memory goes over to this object. It must be proved to be the one at that address. */
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
