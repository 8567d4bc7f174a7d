/**
 * Opens pins in the caller's place, and looks at paths from the caller's root directory. A path may
 * lead to a file system that a guest serves itself (FUSE), where a lookup can hang for ever. Lookups
 * therefore run on worker threads, at most a few per guest, and never on the agent's own thread.
 */
import { Worker } from 'node:worker_threads';
import type { Namespace } from '../../../model/namespaces.js';
import type { Capabilities } from '../../../sys/task.js';
import { MOST_SLOW_CALLS, Turns } from '../../turns.js';

export interface OpenPinRequest {
  /** The caller's directory in /proc, and a pidfd for its fds. Both are open until the answer. */
  readonly directory: number;
  readonly thread: number;
  /** The path as the caller passed it, without the NUL. */
  readonly path: Uint8Array;
  /** BPF_OBJ_GET's file_flags. */
  readonly flags: number;
  /** The caller's fd from which a relative path starts; undefined for its working directory. */
  readonly pathFd: number | undefined;
  /** The caller's effective capabilities in the init user namespace. */
  readonly capabilities: Capabilities;
}

export interface SeePathRequest {
  /** As in {@link OpenPinRequest}. */
  readonly directory: number;
  /** A link of uprobes. Open until the answer. */
  readonly link: number;
  /** The bytes for the path; 0: only its length is asked for. */
  readonly room: number;
}

/** The path of a link, as one task sees it. */
export interface SeenPath {
  /** 0 or -errno. */
  readonly result: number;
  /** With the NUL; empty if it was not asked for. */
  readonly path: Uint8Array;
  /** The length of the path, with the NUL, whether it was asked for or not. */
  readonly size: number;
}

/** What a thread is told to do. It answers an {@link OpenPinRequest} with an fd or -errno. */
export type PathRequest = OpenPinRequest | SeePathRequest;

/** The most lookups of one guest that are in progress at once. More wait for their turn. */
const PER_GUEST = 4;
/** Threads that are kept for later calls. Threads that were started because of a hanging lookup end. */
const KEPT = 2;
/**
 * How long calls wait for a thread to finish before another is started, in ms. Starting one costs
 * more than most lookups.
 */
const PATIENCE = 20;

/** JavaScript's heap of a thread, in MiB: it does little. */
const HEAP = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

interface Job {
  readonly request: PathRequest;
  readonly done: (answer: number | SeenPath) => void;
  readonly failed: (error: unknown) => void;
}

export class PathResolver {
  readonly #turns = new Turns(PER_GUEST, MOST_SLOW_CALLS);
  readonly #idle: Worker[] = [];
  readonly #waiting: Job[] = [];
  #threads = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Resolves to the fd, which the caller closes, or to the -errno of BPF_OBJ_GET, with the path
   * resolved as for the guest. Rejects if the thread that looks it up fails.
   * @throws Refusal ENOMEM if the guest has too many lookups in progress
   */
  openPin(namespace: Namespace, request: OpenPinRequest): Promise<number> {
    return this.#ask(namespace, request) as Promise<number>;
  }

  /**
   * Resolves to the path of a link as it is from the caller's root directory. Rejects as {@link
   * openPin} does. @throws Refusal as {@link openPin}
   */
  seePath(namespace: Namespace, request: SeePathRequest): Promise<SeenPath> {
    return this.#ask(namespace, request) as Promise<SeenPath>;
  }

  #ask(namespace: Namespace, request: PathRequest): Promise<number | SeenPath> {
    return this.#turns.take(
      namespace,
      () =>
        new Promise((done, failed) => {
          this.#waiting.push({ request, done, failed });
          this.#start();
        }),
    );
  }

  /** Whether an answer may arrive at any moment. */
  get isBusy(): boolean {
    return this.#turns.isBusy;
  }

  /** Ends the threads. */
  close(): void {
    for (const worker of this.#idle.splice(0)) void worker.terminate();
  }

  /** Gives waiting calls to free threads. Starts another thread if none is free for a while. */
  #start(): void {
    for (let job = this.#waiting.shift(); job; job = this.#waiting.shift()) {
      const worker = this.#idle.pop() ?? (this.#threads < KEPT ? this.#newThread() : undefined);
      if (worker) {
        this.#give(job, worker);
        continue;
      }
      this.#waiting.unshift(job);
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        if (this.#idle.length === 0) this.#idle.push(this.#newThread());
        this.#start();
      }, PATIENCE);
      return;
    }
  }

  #newThread(): Worker {
    this.#threads++;
    const worker = new Worker(new URL('./path-worker.js', import.meta.url), { resourceLimits: HEAP });
    worker.unref();
    return worker;
  }

  #give(job: Job, worker: Worker): void {
    const finish = (answer: () => void, isReusable: boolean): void => {
      // Not all events, as Node has listeners of its own.
      for (const event of ['message', 'error']) worker.removeAllListeners(event);
      // A thread that hangs makes no progress. Another one is needed only while no thread does.
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
    worker.once('message', (answer: number | SeenPath) => finish(() => job.done(answer), true));
    // A fault of the worker costs one answer, not the agent.
    worker.once('error', (error) => finish(() => job.failed(error), false));
    worker.postMessage(job.request);
  }
}
