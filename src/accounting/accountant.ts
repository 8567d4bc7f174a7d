/** The agent's side of its accounting thread: starts the thread at the first request, and streams samples. */
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { RuntimeChoice, Usage } from '../control/usage.js';
import type { Kind } from '../model/ids.js';
import { E, SyscallError } from '../sys/errno.js';
import {
  type AgentView,
  type Calls,
  type Job,
  monotonicMs,
  type Numbered,
  type Outcome,
  type Results,
} from './jobs.js';
import type { ReportRequest } from './reports.js';
import { RunTimeStatistics } from './run-time.js';

/** The shortest time between two samples, in ms. */
const MIN_INTERVAL = 100;
/** Samples of who watches may be that much older than their request, in ms: so they share one look. */
const FRESH = 100;
/** The most requests at a time that are not about samples: they take longer, and their answers are long. */
const MAX_REPORTS = 8;
/** How long nobody need read on in the answer to such a request, in ms, until the connection is ended. */
const UNREAD = 10_000;
/** The most memory that the thread may take, in MiB. Beyond it the thread ends, and the agent goes on. */
const MAX_HEAP = 512;

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
  #reports = 0;

  /** @param calls the agent's counters of each namespace, by its id */
  constructor(runtime: RuntimeChoice, calls: ReadonlyMap<number, Calls>) {
    this.runtime = runtime;
    this.#calls = calls;
    this.#statistics = new RunTimeStatistics(runtime);
  }

  /** The cost of every namespace. @param programs the most programs to report */
  usage(programs: number): Promise<Usage> {
    return this.#ask('usage', { op: 'usage', since: monotonicMs() - FRESH, view: this.#view, programs });
  }

  /**
   * Everything about one object, cut to what fits into a line; undefined if it does not exist.
   * @throws SyscallError EAGAIN if too many requests wait
   */
  async who(kind: Kind, hostId: number): Promise<Results['who']> {
    this.#beginReport();
    try {
      return await this.#ask('who', { op: 'who', kind, hostId });
    } finally {
      this.#reports--;
    }
  }

  /** Writes the lines of an answer, or an error, and ends the connection. */
  report(socket: Socket, request: ReportRequest): void {
    this.#report(socket, request).catch((error: unknown) => socket.end(errorLine(error)));
  }

  async #report(socket: Socket, request: ReportRequest): Promise<void> {
    if (socket.destroyed) return;
    this.#beginReport();
    // Until it is written, as it takes memory until then. Who does not read it may not keep it.
    socket.once('close', () => this.#reports--);
    socket.setTimeout(UNREAD, () => socket.destroy());
    const lines = await this.#ask('report', { op: 'report', request });
    if (lines === undefined) throw new SyscallError(E.ENOENT, request.op, 'there is no object with this host id');
    socket.end(lines);
  }

  #beginReport(): void {
    if (this.#reports >= MAX_REPORTS) {
      throw new SyscallError(E.EAGAIN, 'who', 'others ask at this moment: try again');
    }
    this.#reports++;
  }

  /**
   * Writes samples until the socket closes. A slow reader gets fewer samples: the next one is made
   * only after the last was written. While somebody watches, run time is counted, if the
   * configuration says so.
   */
  stream(socket: Socket, { objects, interval }: StreamOptions): void {
    const isWatching = interval !== undefined;
    const release = isWatching ? this.#statistics.hold() : (): void => undefined;
    const subscriber = this.#next++;
    let timer: NodeJS.Timeout | undefined;
    const sample = (): void => {
      const started = performance.now();
      const since = isWatching ? monotonicMs() - FRESH : monotonicMs();
      this.#ask('sample', { op: 'sample', subscriber, objects, since, view: this.#view })
        .then((text) => {
          if (socket.destroyed) return;
          if (!isWatching) {
            socket.end(text);
            return;
          }
          socket.write(text, () => {
            const rest = Math.max(MIN_INTERVAL, interval) - (performance.now() - started);
            if (!socket.destroyed) timer = setTimeout(sample, Math.max(0, rest));
          });
        })
        .catch((error: unknown) => socket.end(errorLine(error)));
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
    const thread = new Worker(new URL('./accounting-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP },
    });
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

function errorLine(error: unknown): string {
  const code = error instanceof SyscallError ? error.code : 'EIO';
  return `${JSON.stringify({ error: { code, message: error instanceof Error ? error.message : String(error) } })}\n`;
}
