/**
 * Watches the loop from a separate thread. A read of a guest's memory can wait for the guest (a
 * FUSE mapping, userfaultfd), and the loop waits with it. The watchdog then kills the guest. If
 * that does not help, it kills the agent; the next agent gives the call up after a few attempts.
 */
import { Worker } from 'node:worker_threads';
import { seccomp_notif } from '../sys/kernel.gen.js';
import type { Notification } from '../sys/seccomp.js';

/** The memory shared with watchdog-worker.ts: cells of four bytes, then the notification. */
export const PULSE = {
  count: 0,
  listener: 1,
  /** 1 while the worker waits for the next call, without a timer. */
  isWaiting: 2,
  cells: 3,
  notification: 16,
  sizeof: 16 + seccomp_notif.sizeof,
} as const;

export class Watchdog {
  readonly #memory = new SharedArrayBuffer(PULSE.sizeof);
  readonly #pulse = new Int32Array(this.#memory, 0, PULSE.cells);
  readonly #notification = new Uint32Array(this.#memory, PULSE.notification);
  readonly #worker: Worker;

  constructor() {
    const workerData = { memory: this.#memory, agent: process.pid };
    this.#worker = new Worker(new URL('./watchdog-worker.js', import.meta.url), { workerData });
    this.#worker.unref();
  }

  /** A call is in progress. The count is odd until {@link end}. */
  begin(notification: Notification, listener: number): void {
    for (let i = 0; i < this.#notification.length; i++) this.#notification[i] = notification.words[i] ?? 0;
    this.#pulse[PULSE.listener] = listener;
    this.#bump();
    if (Atomics.load(this.#pulse, PULSE.isWaiting) === 1) Atomics.notify(this.#pulse, PULSE.count);
  }

  end(): void {
    this.#bump();
  }

  /** Changes with every call. */
  get count(): number {
    return Atomics.load(this.#pulse, PULSE.count);
  }

  close(): void {
    void this.#worker.terminate();
  }

  #bump(): void {
    Atomics.add(this.#pulse, PULSE.count, 1);
  }
}
