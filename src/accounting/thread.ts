/** The thread that looks at all objects, and the queue of what it is asked. */
import { Worker } from 'node:worker_threads';
import type { Job, Outcome, Results } from './jobs.js';

/** The most memory that the thread may take, in MiB. Beyond it the thread ends, and the agent goes on. */
const MAX_HEAP = 512;

/** Who asks. */
export interface Asker {
  /** Root's questions come before all others'. */
  readonly isRoot: boolean;
  /** Whether it still waits for the answer. What nobody waits for is not begun. */
  readonly isWaiting: () => boolean;
}

interface Waiting extends Asker {
  readonly job: Job;
  readonly done: (result: never) => void;
  readonly failed: (error: Error) => void;
}

/** Starts at the first question. */
export class AccountingThread {
  readonly #queue: Waiting[] = [];
  /** The thread gets one question at a time: those whose asker goes away meanwhile cost nothing. */
  #current: Waiting | undefined;
  #worker: Worker | undefined;

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  ask<Op extends keyof Results>(_op: Op, job: Extract<Job, { op: Op }>, asker: Asker): Promise<Results[Op]> {
    return new Promise((done, failed) => {
      const others = this.#queue.findIndex(({ isRoot }) => !isRoot);
      const at = asker.isRoot && others >= 0 ? others : this.#queue.length;
      this.#queue.splice(at, 0, { ...asker, job, done, failed });
      this.#advance();
    });
  }

  close(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  #advance(): void {
    while (!this.#current) {
      const next = this.#queue.shift();
      if (!next) return;
      if (next.isWaiting()) {
        this.#current = next;
        this.#worker ??= this.#start();
        this.#worker.postMessage(next.job);
      } else {
        next.failed(new Error('nobody waits for the answer'));
      }
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./accounting-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP },
    });
    worker.unref();
    worker.on('message', (outcome: Outcome) => {
      const current = this.#current;
      this.#current = undefined;
      if ('failure' in outcome) current?.failed(new Error(outcome.failure));
      else current?.done(outcome.result as never);
      this.#advance();
    });
    // A fault of the thread fails what it was asked, not the agent.
    worker.once('error', (error) => this.#lost(worker, error));
    worker.once('exit', () => this.#lost(worker, new Error('the accounting thread has ended')));
    return worker;
  }

  #lost(worker: Worker, error: unknown): void {
    if (worker !== this.#worker) return; // told already, or closed
    this.#worker = undefined;
    const current = this.#current;
    this.#current = undefined;
    current?.failed(error instanceof Error ? error : new Error(String(error)));
    this.#advance();
  }
}
