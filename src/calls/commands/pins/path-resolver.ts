/**
 * Opens pins in the caller's place. A path may lead onto a file system that a guest
 * serves itself (FUSE), where a look-up can hang for ever: so it happens on worker
 * threads, at most a few per namespace, and never on the agent's own.
 */
import { Worker } from 'node:worker_threads';
import type { NamespaceId } from '../../../model/ids.js';
import type { Capabilities } from '../../../sys/task.js';

export interface OpenPinRequest {
  /** The caller's directory in /proc, and a pidfd for its fds: open until the answer. */
  readonly directory: number;
  readonly thread: number;
  /** As the caller passed it, without the NUL. */
  readonly path: Uint8Array;
  /** BPF_OBJ_GET's file_flags. */
  readonly flags: number;
  /** The caller's fd that a relative path starts from; undefined for its working directory. */
  readonly pathFd: number | undefined;
  /** The caller's effective capabilities in the init user namespace. */
  readonly capabilities: Capabilities;
}

/** Calls of one namespace that may be under way at once; more wait for their turn. */
const PER_NAMESPACE = 4;
/** Threads kept for the next call; those that a hanging look-up made necessary end. */
const KEPT = 2;
/** How long calls wait while no thread gets done before another is started, in ms: one costs more than most look-ups. */
const PATIENCE = 20;

interface Job {
  readonly namespace: NamespaceId;
  readonly request: OpenPinRequest;
  readonly done: (fd: number) => void;
  readonly failed: (error: unknown) => void;
}

export class PathResolver {
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<NamespaceId, number>();
  readonly #waiting: Job[] = [];
  #threads = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * The fd (the caller's to close) or -errno of BPF_OBJ_GET, resolved as the caller
   * would. Rejects if the thread that looks it up fails.
   */
  openPin(namespace: NamespaceId, request: OpenPinRequest): Promise<number> {
    return new Promise((done, failed) => {
      this.#waiting.push({ namespace, request, done, failed });
      this.#start();
    });
  }

  /** Whether an answer may come any moment. */
  get isBusy(): boolean {
    return this.#busy.size > 0;
  }

  /** Ends the threads. */
  close(): void {
    for (const worker of this.#idle.splice(0)) void worker.terminate();
  }

  /** Gives the calls whose turn it is to threads that are free; if none is for a while, there will be one more. */
  #start(): void {
    for (let index = this.#nextIndex(); index >= 0; index = this.#nextIndex()) {
      const worker = this.#idle.pop() ?? (this.#threads < KEPT ? this.#newThread() : undefined);
      if (!worker) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          if (this.#idle.length === 0) this.#idle.push(this.#newThread());
          this.#start();
        }, PATIENCE);
        return;
      }
      for (const job of this.#waiting.splice(index, 1)) this.#give(job, worker);
    }
  }

  #nextIndex(): number {
    return this.#waiting.findIndex(({ namespace }) => (this.#busy.get(namespace) ?? 0) < PER_NAMESPACE);
  }

  #newThread(): Worker {
    this.#threads++;
    const worker = new Worker(new URL('./path-worker.js', import.meta.url));
    worker.unref();
    return worker;
  }

  #give(job: Job, worker: Worker): void {
    this.#busy.set(job.namespace, (this.#busy.get(job.namespace) ?? 0) + 1);
    const finish = (answer: () => void, isReusable: boolean): void => {
      // Not all events: Node keeps listeners of its own there.
      for (const event of ['message', 'error']) worker.removeAllListeners(event);
      const busy = (this.#busy.get(job.namespace) ?? 1) - 1;
      if (busy > 0) this.#busy.set(job.namespace, busy);
      else this.#busy.delete(job.namespace);
      // A thread that hangs makes no progress: only as long as none does is another needed.
      clearTimeout(this.#timer);
      this.#timer = undefined;
      if (isReusable && this.#idle.length < KEPT) {
        this.#idle.push(worker);
      } else {
        this.#threads--;
        void worker.terminate();
      }
      answer();
      this.#start();
    };
    worker.once('message', (fd: number) => finish(() => job.done(fd), true));
    // A fault over there costs one answer, not the agent.
    worker.once('error', (error) => finish(() => job.failed(error), false));
    worker.postMessage(job.request);
  }
}
