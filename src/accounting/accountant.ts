/** The agent's side of its accounting thread: starts the thread at the first request, and streams samples. */
import type { Socket } from 'node:net';
import type { RuntimeChoice, Usage } from '../control/usage.js';
import type { Kind } from '../model/ids.js';
import { E, SyscallError } from '../sys/errno.js';
import { type AgentView, type Calls, monotonicMs, type Results } from './jobs.js';
import type { ReportRequest } from './reports.js';
import { RunTimeStatistics } from './run-time.js';
import { AccountingThread, type Asker } from './thread.js';

/** The shortest time between two samples, in ms. */
const MIN_INTERVAL = 100;
/** Samples of who watches may be that much older than their request, in ms: so they share one look. */
const FRESH = 100;
/** The most requests at a time that are not about samples, but for root's: their answers are long. */
const MAX_REPORTS = 8;
/** How long nobody need read on in the answer to such a request, in ms, until the connection is ended. */
const UNREAD = 10_000;
/** The agent itself. */
const agent: Asker = { isRoot: true, isWaiting: () => true };

export interface StreamOptions {
  readonly objects: boolean;
  /** Milliseconds between two samples; undefined for a single sample, after which the connection ends. */
  readonly interval: number | undefined;
}

export class Accountant {
  readonly runtime: RuntimeChoice;
  readonly #calls: ReadonlyMap<number, Calls>;
  readonly #statistics: RunTimeStatistics;
  readonly #thread = new AccountingThread();
  #subscribers = 0;
  #reports = 0;

  /** @param calls the agent's counters of each namespace, by its id */
  constructor(runtime: RuntimeChoice, calls: ReadonlyMap<number, Calls>) {
    this.runtime = runtime;
    this.#calls = calls;
    this.#statistics = new RunTimeStatistics(runtime);
  }

  /** The cost of every namespace. @param programs the most programs to report */
  usage(programs: number): Promise<Usage> {
    const since = monotonicMs() - FRESH;
    return this.#thread.ask('usage', { op: 'usage', since, view: this.#view, programs }, agent);
  }

  /**
   * Everything about one object, cut to what fits into a line; undefined if it does not exist.
   * @throws SyscallError EAGAIN if too many requests wait
   */
  async who(socket: Socket, isRoot: boolean, kind: Kind, hostId: number): Promise<Results['who']> {
    this.#beginReport(isRoot);
    try {
      return await this.#thread.ask('who', { op: 'who', kind, hostId }, askerAt(socket, isRoot));
    } finally {
      this.#reports--;
    }
  }

  /** Writes the lines of an answer, or an error, and ends the connection. */
  async report(socket: Socket, isRoot: boolean, request: ReportRequest): Promise<void> {
    if (socket.destroyed) return;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    try {
      this.#beginReport(isRoot);
    } catch (error) {
      socket.end(errorLine(error));
      return;
    }
    try {
      const lines = await this.#thread.ask('report', { op: 'report', request }, askerAt(socket, isRoot));
      if (lines === undefined) throw new SyscallError(E.ENOENT, request.op, 'there is no object with this host id');
      socket.end(lines);
    } catch (error) {
      socket.end(errorLine(error));
    } finally {
      // Who does not read the answer may not keep it: it takes memory until then.
      socket.setTimeout(UNREAD, () => socket.destroy());
      await closed;
      this.#reports--;
    }
  }

  #beginReport(isRoot: boolean): void {
    if (!isRoot && this.#reports >= MAX_REPORTS) {
      throw new SyscallError(E.EAGAIN, 'who', 'others ask at this moment: try again');
    }
    this.#reports++;
  }

  /**
   * Writes samples until the socket closes. A slow reader gets fewer samples: the next one is made
   * only after the last was written. While somebody watches, run time is counted, if the
   * configuration says so.
   */
  stream(socket: Socket, isRoot: boolean, { objects, interval }: StreamOptions): void {
    if (socket.destroyed) return;
    const isWatching = interval !== undefined;
    const release = isWatching ? this.#statistics.hold() : (): void => undefined;
    const subscriber = ++this.#subscribers;
    let timer: NodeJS.Timeout | undefined;
    const sample = (): void => {
      const started = performance.now();
      const since = isWatching ? monotonicMs() - FRESH : monotonicMs();
      const job = { op: 'sample', subscriber, objects, since, view: this.#view } as const;
      this.#thread
        .ask('sample', job, askerAt(socket, isRoot))
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
      if (this.#thread.isRunning)
        this.#thread.ask('forget', { op: 'forget', subscriber }, agent).catch(() => undefined);
    });
    sample();
  }

  close(): void {
    this.#statistics.close();
    this.#thread.close();
  }

  get #view(): AgentView {
    return { counting: this.#statistics.isOn, calls: this.#calls };
  }
}

/** Who waits at the other end of a connection. */
function askerAt(socket: Socket, isRoot: boolean): Asker {
  return { isRoot, isWaiting: () => !socket.destroyed };
}

function errorLine(error: unknown): string {
  const code = error instanceof SyscallError ? error.code : 'EIO';
  return `${JSON.stringify({ error: { code, message: error instanceof Error ? error.message : String(error) } })}\n`;
}
