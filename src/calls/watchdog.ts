/**
 * Watches over the loop from a thread of its own. A guest's memory can be such that
 * reading it waits for the guest (a FUSE mapping, userfaultfd), and the loop with it,
 * for ever. Then the guest is killed; if that does not help, so is the agent: another
 * takes its place, and gives the call up after a few attempts.
 */
import { Worker } from 'node:worker_threads';

/** Cells of the memory shared with watchdog-worker.ts. */
export const PULSE = { count: 0, tid: 1, cells: 2 } as const;

export class Watchdog {
  readonly #pulse = new Int32Array(new SharedArrayBuffer(PULSE.cells * Int32Array.BYTES_PER_ELEMENT));
  readonly #worker: Worker;

  constructor() {
    const workerData = { pulse: this.#pulse, agent: process.pid };
    this.#worker = new Worker(new URL('./watchdog-worker.js', import.meta.url), { workerData });
    this.#worker.unref();
  }

  /** A call of thread `tid` is being answered: the count is odd until {@link end}. */
  begin(tid: number): void {
    this.#pulse[PULSE.tid] = tid;
    this.#bump();
  }

  end(): void {
    this.#bump();
  }

  close(): void {
    void this.#worker.terminate();
  }

  #bump(): void {
    Atomics.add(this.#pulse, PULSE.count, 1);
  }
}
