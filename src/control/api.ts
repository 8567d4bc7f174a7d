/**
 * The package export `bpfns/client`: reads from the agent. docs/control-api.md describes the
 * protocol. Nothing here changes anything, and root is not needed where a group may open the
 * read-only socket.
 */
import { accessSync, constants } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { paths } from '../config/paths.js';
import type { Graph, GraphEdge, GraphNode, HostObject, NamespaceProcess } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import { AgentClient, AgentError } from './client.js';
import type { Event } from './events.js';
import type { ReadingRequest, ReportLine, StatisticsReply, StatusReply, TaskReply, WhoReply } from './protocol.js';
import { type Sample, SampleReader, type WatchLine } from './usage.js';

export type { ContainerLabels } from '../model/container.js';
export type { Graph, GraphEdge, GraphNode, HostObject, NamespaceProcess, Process } from '../model/host-object.js';
export type { Kind } from '../model/ids.js';
export { AgentError } from './client.js';
export type { Event } from './events.js';
export { PROTOCOL_VERSION, type StatisticsReply, type StatusReply, type TaskReply, type WhoReply } from './protocol.js';
export { type Measured, Meter, type Rates } from './rates.js';
export type { NamespaceCost, NamespaceUsage, ObjectUsage, RuntimeChoice, Sample } from './usage.js';

/** An event with its time: ISO 8601, UTC. */
export type TimedEvent = Event & { readonly time: string };

/** How long an agent is waited for, and how long until it is looked for again, in ms. */
const PATIENCE = 10_000;
const PAUSE = 100;

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

const endedEarly = 'the agent ended before it answered';

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

  /** Every object of a kind, with its users and pins. */
  async objects(kind: Kind): Promise<HostObject[]> {
    const objects: HostObject[] = [];
    for await (const line of this.#report({ op: 'objects', kind })) {
      if (line.item !== 'object') continue;
      const { item: _, ...object } = line;
      objects.push(object);
    }
    return objects;
  }

  /** What keeps an object alive, and what keeps that alive; ENOENT if it does not exist. */
  async graph(kind: Kind, hostId: number): Promise<Graph> {
    const nodes: GraphNode[] = [];
    const edges: GraphEdge[] = [];
    for await (const line of this.#report({ op: 'graph', kind, hostId })) {
      if (line.item === 'node') nodes.push({ id: line.id, type: line.type, label: line.label });
      else if (line.item === 'edge') edges.push({ from: line.from, to: line.to, label: line.label });
    }
    return { nodes, edges };
  }

  /** Every process in a namespace other than init, once for each namespace that it has a thread in. */
  async processes(): Promise<NamespaceProcess[]> {
    const processes: NamespaceProcess[] = [];
    for await (const line of this.#report({ op: 'processes' })) {
      if (line.item !== 'process') continue;
      const { namespace, pid, comm } = line;
      processes.push({ namespace, pid, comm });
    }
    return processes;
  }

  /** The namespace of a process or thread; ESRCH if it does not exist. */
  task(pid: number): Promise<TaskReply> {
    return this.#ask({ op: 'task', pid });
  }

  /** The present state. */
  async list({ objects = true }: Pick<WatchOptions, 'objects'> = {}): Promise<Sample> {
    for await (const sample of this.#samples({ op: 'list', objects }, undefined)) return sample;
    throw new AgentError('ECONNRESET', endedEarly);
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

  /** After `watch` or `events` has ended: waits up to 10 s. @returns whether an agent is running again */
  async isBack(signal?: AbortSignal): Promise<boolean> {
    for (const end = performance.now() + PATIENCE; performance.now() < end && !signal?.aborted; await pause(PAUSE)) {
      const agent = await AgentClient.connect(this.socket);
      if (!agent) continue;
      const close = (): void => agent.close();
      signal?.addEventListener('abort', close);
      // Until a killed agent is gone, connections to it succeed.
      const isServed = await agent.isServed();
      signal?.removeEventListener('abort', close);
      close();
      if (isServed) return true;
    }
    return false;
  }

  /** The lines of one answer. One that is not complete is an error. */
  async *#report(request: ReadingRequest): AsyncGenerator<ReportLine, void> {
    for await (const line of this.#lines(request, undefined)) {
      const item = JSON.parse(line) as ReportLine;
      if (item.item === 'end') return;
      yield item;
    }
    throw new AgentError('ECONNRESET', endedEarly);
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
