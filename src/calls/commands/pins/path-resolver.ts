/**
 * Opens pins and files of uprobes in the caller's place, and looks at paths from the caller's root. A path may
 * lead to a file system that a guest serves itself (FUSE), where a lookup can hang for ever. Lookups
 * therefore run on worker threads, at most a few per guest, and never on the agent's own thread.
 */
import { Worker } from 'node:worker_threads';
import type { Namespace } from '../../../model/namespaces.js';
import { EmptyCgroup } from '../../../sys/empty-cgroup.js';
import { MOST_SLOW_CALLS, Turns } from '../../turns.js';
import type {
  OpenPinRequest,
  PathAnswer,
  PathRequest,
  SeenPath,
  SeePathRequest,
  UprobeAnswer,
  UprobeRequest,
} from './path-request.js';

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
  readonly done: (answer: PathAnswer) => void;
  readonly failed: (error: unknown) => void;
}

export class PathResolver {
  readonly #turns = new Turns(PER_GUEST, MOST_SLOW_CALLS);
  readonly #emptyCgroup = new EmptyCgroup();
  readonly #idle: Worker[] = [];
  readonly #waiting: Job[] = [];
  #threads = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Starts a thread, as calls wait that an earlier agent has not answered. */
  expect(): void {
    if (this.#threads === 0) this.#idle.push(this.#newThread());
  }

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

  /** Opens the event of a uprobe. Rejects as {@link openPin} does. @throws Refusal as {@link openPin} */
  openUprobe(namespace: Namespace, request: Omit<UprobeRequest, 'cgroup'>): Promise<UprobeAnswer> {
    const cgroup = request.pid < 0 ? this.#emptyCgroup.open() : -1;
    return this.#ask(namespace, { ...request, cgroup }) as Promise<UprobeAnswer>;
  }

  #ask(namespace: Namespace, request: PathRequest): Promise<PathAnswer> {
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
    this.#emptyCgroup.close();
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
    worker.once('message', (answer: PathAnswer) => finish(() => job.done(answer), true));
    // A fault of the worker costs one answer, not the agent.
    worker.once('error', (error) => finish(() => job.failed(error), false));
    worker.postMessage(job.request);
  }
}
