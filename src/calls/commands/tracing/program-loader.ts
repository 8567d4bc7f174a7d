/**
 * Loads programs for guests on a thread of its own, one at a time: what a program needs of memory,
 * and of the verifier's time, is needed once. Top-level namespaces take turns, so that none waits for
 * all the programs of another.
 */
import { Worker } from 'node:worker_threads';
import type { NamespaceId } from '../../../model/ids.js';
import type { Namespace } from '../../../model/namespaces.js';
import { E, Refusal } from '../../../sys/errno.js';
import { MOST_SLOW_CALLS } from '../../turns.js';
import { EventBudget } from './event-budget.js';
import type { LoadAnswer, LoadRequest, WarmUp } from './load-request.js';
import { ProgramMemory } from './memory.js';

interface Job {
  /** Reads the program only when its turn comes: -errno if that fails. May throw. */
  readonly prepare: () => LoadRequest | number;
  readonly done: (answer: LoadAnswer) => void;
  readonly failed: (error: unknown) => void;
}

/** Of what the agent makes for each top-level namespace. */
export interface TracingLimits {
  /** Bytes of programs. */
  readonly programMemory: number;
  /** Perf events that are open at a time. */
  readonly events: number;
}

export class ProgramLoader {
  readonly memory: ProgramMemory;
  readonly events: EventBudget;
  readonly #waiting = new Map<NamespaceId, Job[]>();
  #worker: Worker | undefined;
  /** Ends the job that the thread has, if it has one. */
  #fail: ((error: unknown) => void) | undefined;
  #isBusy = false;

  constructor({ programMemory, events }: TracingLimits) {
    this.memory = new ProgramMemory(programMemory);
    this.events = new EventBudget(events);
  }

  /**
   * Rejects if `prepare` throws, or the thread fails. @param namespace a top-level one
   * @throws Refusal ENOMEM if too many loads of the guest wait already
   */
  load(namespace: NamespaceId, prepare: Job['prepare']): Promise<LoadAnswer> {
    const jobs = this.#waiting.get(namespace) ?? [];
    if (jobs.length >= MOST_SLOW_CALLS) {
      throw new Refusal(E.ENOMEM, 'queue', `${MOST_SLOW_CALLS} loads of namespace ${namespace} wait already`);
    }
    this.#waiting.set(namespace, jobs);
    return new Promise((done, failed) => {
      jobs.push({ prepare, done, failed });
      this.#next();
    });
  }

  /** Of a namespace that may have programs loaded: starts the thread before one waits for it, some 200 ms. */
  expect({ spec: { tracing } }: Namespace): void {
    if ((tracing === 'own' || tracing === 'filtered') && !this.#worker)
      this.#open().postMessage('warm-up' satisfies WarmUp);
  }

  /** Whether an answer may come any moment. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Ends the thread. */
  close(): void {
    void this.#worker?.terminate();
    this.events.close();
  }

  #next(): void {
    while (!this.#isBusy) {
      const job = this.#take();
      if (!job) return;
      try {
        const request = job.prepare();
        if (typeof request === 'number') job.done({ result: request, log: NOTHING, logTrueSize: 0, refusal: '' });
        else this.#give(request, job);
      } catch (error) {
        job.failed(error);
      }
    }
  }

  /** The namespace goes to the end of the queue. */
  #take(): Job | undefined {
    for (const [namespace, jobs] of this.#waiting) {
      this.#waiting.delete(namespace);
      const job = jobs.shift();
      if (jobs.length > 0) this.#waiting.set(namespace, jobs);
      if (job) return job;
    }
    return undefined;
  }

  #give(request: LoadRequest, job: Job): void {
    this.#isBusy = true;
    const worker = this.#worker ?? this.#open();
    const finish = (tell: () => void): void => {
      worker.removeAllListeners('message');
      this.#fail = undefined;
      this.#isBusy = false;
      tell();
      this.#next();
    };
    worker.once('message', (answer: LoadAnswer) => finish(() => job.done(answer)));
    this.#fail = (error) => finish(() => job.failed(error));
    worker.postMessage(request, ownBuffers(request));
  }

  #open(): Worker {
    const worker = new Worker(new URL('./load-worker.js', import.meta.url));
    this.#worker = worker;
    worker.unref();
    // A fault over there costs one answer, not the agent.
    worker.once('error', (error) => {
      this.#worker = undefined;
      this.#fail?.(error);
    });
    return worker;
  }
}

/** What is large goes to the thread without another copy. */
const ownBuffers = ({ code, functions, lines, relocations }: LoadRequest): ArrayBuffer[] =>
  [code, functions, lines, relocations]
    .filter(({ buffer, byteLength }) => byteLength > 0 && byteLength === buffer.byteLength)
    .map(({ buffer }) => buffer as ArrayBuffer);

const NOTHING = new Uint8Array(0);
