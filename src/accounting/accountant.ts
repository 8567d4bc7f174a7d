/** The agent's side of its accounting thread: starts the thread at the first request, and streams samples. */
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { RuntimeChoice, Usage } from '../control/usage.js';
import type { Kind } from '../model/ids.js';
import { E, SyscallError } from '../sys/errno.js';
import type { AgentView, Calls, Job, Numbered, Outcome, Results } from './jobs.js';
import { RunTimeStatistics } from './run-time.js';

/** The shortest time between two samples, in ms. */
const MIN_INTERVAL = 100;
/** The most waiting requests about single objects. */
const MAX_WHOS = 8;

interface Waiting {
  readonly done: (result: never) => void;
  readonly failed: (error: Error) => void;
}

export interface StreamOptions {
  readonly objects: boolean;
  /** Milliseconds between two samples; undefined for a single sample, after which the connection ends. */
  readonly interval: number | undefined;
}

export class Accountant {
  readonly runtime: RuntimeChoice;
  readonly #calls: ReadonlyMap<number, Calls>;
  readonly #statistics: RunTimeStatistics;
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #next = 1;
  #whos = 0;

  /** @param calls the agent's counters of each namespace, by its id */
  constructor(runtime: RuntimeChoice, calls: ReadonlyMap<number, Calls>) {
    this.runtime = runtime;
    this.#calls = calls;
    this.#statistics = new RunTimeStatistics(runtime);
  }

  /** The cost of every namespace. @param programs the most programs to report */
  usage(programs: number): Promise<Usage> {
    return this.#ask('usage', { op: 'usage', view: this.#view, programs });
  }

  /**
   * Everything about one object; undefined if it does not exist. @throws SyscallError EAGAIN if too
   * many requests wait
   */
  async who(kind: Kind, hostId: number): Promise<Results['who']> {
    // It takes longer than a sample, so that other requests get their turn in between.
    if (this.#whos >= MAX_WHOS) throw new SyscallError(E.EAGAIN, 'who', 'others ask at this moment: try again');
    this.#whos++;
    try {
      return await this.#ask('who', { op: 'who', kind, hostId });
    } finally {
      this.#whos--;
    }
  }

  /**
   * Writes samples until the socket closes. A slow reader gets fewer samples: the next one is made
   * only after the last was written. Meanwhile run time is counted, if the configuration says so.
   */
  stream(socket: Socket, { objects, interval }: StreamOptions): void {
    const release = this.#statistics.hold();
    const subscriber = this.#next++;
    let timer: NodeJS.Timeout | undefined;
    const sample = (): void => {
      const started = performance.now();
      this.#ask('sample', { op: 'sample', subscriber, objects, view: this.#view })
        .then((text) => {
          if (socket.destroyed) return;
          if (interval === undefined) {
            socket.end(text);
            return;
          }
          socket.write(text, () => {
            const rest = Math.max(MIN_INTERVAL, interval) - (performance.now() - started);
            if (!socket.destroyed) timer = setTimeout(sample, Math.max(0, rest));
          });
        })
        .catch((error: Error) => {
          socket.end(`${JSON.stringify({ error: { code: 'EIO', message: error.message } })}\n`);
        });
    };
    socket.once('close', () => {
      clearTimeout(timer);
      release();
      if (this.#thread) this.#ask('forget', { op: 'forget', subscriber }).catch(() => undefined);
    });
    sample();
  }

  close(): void {
    this.#statistics.close();
    void this.#thread?.terminate();
    this.#thread = undefined;
  }

  get #view(): AgentView {
    return { counting: this.#statistics.isOn, calls: this.#calls };
  }

  #ask<Op extends keyof Results>(_op: Op, job: Extract<Job, { op: Op }>): Promise<Results[Op]> {
    this.#thread ??= this.#start();
    const number = this.#next++;
    const message: Numbered<Job> = { number, job };
    this.#thread.postMessage(message);
    return new Promise((done, failed) => this.#waiting.set(number, { done, failed }));
  }

  #start(): Worker {
    const thread = new Worker(new URL('./accounting-worker.js', import.meta.url));
    thread.unref();
    thread.on('message', (outcome: Outcome) => {
      const waiting = this.#waiting.get(outcome.number);
      this.#waiting.delete(outcome.number);
      if ('failure' in outcome) waiting?.failed(new Error(outcome.failure));
      else waiting?.done(outcome.result as never);
    });
    // A fault of the thread fails the waiting requests, not the agent.
    thread.once('error', (error) => this.#lost(error));
    thread.once('exit', () => this.#lost(new Error('the accounting thread has ended')));
    return thread;
  }

  #lost(error: unknown): void {
    this.#thread = undefined;
    const failure = error instanceof Error ? error : new Error(String(error));
    for (const { failed } of this.#waiting.values()) failed(failure);
    this.#waiting.clear();
  }
}
