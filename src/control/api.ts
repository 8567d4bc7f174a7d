/**
 * The package export `bpfns/client`: reads from the agent. docs/control-api.md describes the
 * protocol. Nothing here changes anything, and root is not needed where a group may open the
 * read-only socket.
 */
import { accessSync, constants } from 'node:fs';
import { paths } from '../config/paths.js';
import type { Kind } from '../model/ids.js';
import { AgentClient, AgentError } from './client.js';
import type { Event } from './events.js';
import type { ReadingRequest, StatisticsReply, StatusReply, TaskReply, WhoReply } from './protocol.js';
import { type Sample, SampleReader, type WatchLine } from './usage.js';

export type { ContainerLabels } from '../model/container.js';
export type { Kind } from '../model/ids.js';
export { AgentError } from './client.js';
export type { Event } from './events.js';
export { PROTOCOL_VERSION, type StatisticsReply, type StatusReply, type TaskReply, type WhoReply } from './protocol.js';
export { type Measured, Meter, type Rates } from './rates.js';
export type { NamespaceUsage, ObjectUsage, RuntimeChoice, Sample } from './usage.js';

/** An event with its time: ISO 8601, UTC. */
export type TimedEvent = Event & { readonly time: string };

export interface ClientOptions {
  /** The agent's socket. Default: root's socket if it may be used, otherwise the read-only one. */
  readonly socket?: string;
}

export interface WatchOptions {
  /** Whether samples have objects, or only namespaces. Default: true. */
  readonly objects?: boolean;
  /** Milliseconds between two samples, at least 100. Default: 1000. */
  readonly interval?: number;
  /** Stops it. */
  readonly signal?: AbortSignal;
}

/** Connects for each request, so nothing needs to be closed. All methods throw {@link AgentError}. */
export class Client {
  readonly socket: string;

  constructor(options: ClientOptions = {}) {
    this.socket = options.socket ?? defaultSocket();
  }

  status(): Promise<StatusReply> {
    return this.#ask({ op: 'status' });
  }

  /** Trapped calls by command and result, and the recorder's losses. */
  statistics(): Promise<StatisticsReply> {
    return this.#ask({ op: 'statistics' });
  }

  /** Everything about one object; ENOENT if it does not exist. */
  who(kind: Kind, hostId: number): Promise<WhoReply> {
    return this.#ask({ op: 'who', kind, hostId });
  }

  /** The namespace of a process; ESRCH if it does not exist. */
  task(pid: number): Promise<TaskReply> {
    return this.#ask({ op: 'task', pid });
  }

  /** The present state. */
  async list({ objects = true }: Pick<WatchOptions, 'objects'> = {}): Promise<Sample> {
    for await (const sample of this.#samples({ op: 'list', objects }, undefined)) return sample;
    throw new AgentError('ECONNRESET', 'the agent ended before it answered');
  }

  /**
   * One sample at once, then one per interval. Ends when the agent exits. Meanwhile the kernel
   * counts run time.
   */
  watch({ objects = true, interval = 1000, signal }: WatchOptions = {}): AsyncGenerator<Sample, void> {
    return this.#samples({ op: 'watch', objects, interval }, signal);
  }

  /** The lines of `watch` as they come, for who passes them on. */
  watchLines({ objects = true, interval = 1000, signal }: WatchOptions = {}): AsyncGenerator<string, void> {
    return this.#lines({ op: 'watch', objects, interval }, signal);
  }

  /** Events from now on. Ends when the agent exits. */
  async *events(signal?: AbortSignal): AsyncGenerator<TimedEvent, void> {
    for await (const line of this.#lines({ op: 'events' }, signal)) yield JSON.parse(line) as TimedEvent;
  }

  /** After `watch` or `events` has ended: waits up to 5 s. @returns whether an agent is running again */
  async isBack(): Promise<boolean> {
    const agent = await AgentClient.connectAgain(this.socket);
    agent?.close();
    return agent !== undefined;
  }

  async *#samples(request: ReadingRequest, signal: AbortSignal | undefined): AsyncGenerator<Sample, void> {
    const reader = new SampleReader();
    for await (const line of this.#lines(request, signal)) {
      const sample = reader.take(JSON.parse(line) as WatchLine);
      if (sample) yield sample;
    }
  }

  async *#lines(request: ReadingRequest, signal: AbortSignal | undefined): AsyncGenerator<string, void> {
    const agent = await this.#connect();
    const close = (): void => agent.close();
    signal?.addEventListener('abort', close);
    try {
      if (!signal?.aborted) yield* agent.lines(request);
    } finally {
      signal?.removeEventListener('abort', close);
      agent.close();
    }
  }

  async #ask<T>(request: ReadingRequest): Promise<T> {
    const agent = await this.#connect();
    try {
      return await agent.ask<T>(request);
    } finally {
      agent.close();
    }
  }

  async #connect(): Promise<AgentClient> {
    const agent = await AgentClient.connect(this.socket);
    if (agent) return agent;
    throw new AgentError('ENOENT', `no agent serves '${this.socket}': start one with 'bpfns daemon'`);
  }
}

function defaultSocket(): string {
  try {
    accessSync(paths.socket, constants.W_OK);
    return paths.socket;
  } catch {
    return process.geteuid?.() === 0 ? paths.socket : paths.readOnlySocket;
  }
}
