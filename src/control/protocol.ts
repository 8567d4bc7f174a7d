/**
 * The protocol between the commands and the agent, over a unix socket: one JSON object per line,
 * one reply per request, in order.
 */

import type { GraphEdge, GraphNode, HostObject, NamespaceProcess, ObjectReport } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import type { TracingMode } from '../model/namespaces.js';
import type { BudgetReply } from './budget.js';
import type { RuntimeChoice } from './usage.js';

/** Raised when a request or a reply changes incompatibly. */
export const PROTOCOL_VERSION = 1;
/** The longest line either side accepts, in bytes. */
export const MAX_LINE = 64 * 1024;

/** A namespace by id, path, 'self' (the caller's) or 'pid:N'. */
export type NamespaceReference = string;
export type PinsPolicy = 'own' | 'any';
/** 'parent': as the parent's. */
export type TracingChoice = TracingMode | 'parent';

/** Puts the calling process into a new namespace. The process must have installed the filter. */
export interface RunRequest {
  readonly op: 'run';
  readonly parent: NamespaceReference;
  /** '' for none. */
  readonly name: string;
  readonly pins: PinsPolicy;
  /** Without it: 'parent'. */
  readonly tracing?: TracingChoice;
  /** The number of the listener's fd in the calling process. */
  readonly listener: number;
}

/** Puts the calling process into an existing namespace. */
export interface JoinRequest {
  readonly op: 'join';
  readonly namespace: NamespaceReference;
  readonly listener: number;
}

/** Creates a namespace that lives until it is removed. */
export interface CreateRequest {
  readonly op: 'create';
  readonly parent: NamespaceReference;
  readonly name: string;
  readonly pins: PinsPolicy;
  /** Without it: 'parent'. */
  readonly tracing?: TracingChoice;
  readonly ownerUid: number;
  /** The most namespaces below it; 0 for no limit of its own. */
  readonly maxNamespaces: number;
}

/** Only asks what there is. */
export interface DescribeRequest {
  readonly op: 'describe';
  readonly namespace: NamespaceReference;
}

/** Lets a created namespace end: at once if it is empty, else with its last task, child or object. */
export interface RemoveRequest {
  readonly op: 'remove';
  readonly namespace: NamespaceReference;
}

/** Makes the view of tracefs for guests with tracing=own, unless it is there. */
export interface TracefsRequest {
  readonly op: 'tracefs';
}

/** Makes a bpffs that delegates to the caller's user namespace (BPF token). The caller mounts it. */
export interface DelegateRequest {
  readonly op: 'delegate';
  /** The number of the caller's fd from fsopen("bpf"). */
  readonly context: number;
  /** As model/delegation.ts reads it. */
  readonly what: string;
}

export interface StatusRequest {
  readonly op: 'status';
}

/** Turns the connection into a stream of events, see events.ts. */
export interface EventsRequest {
  readonly op: 'events';
}

/** Counts of trapped calls and of the recorder. */
export interface StatisticsRequest {
  readonly op: 'statistics';
}

/** One sample, see usage.ts; then the connection ends. */
export interface ListRequest {
  readonly op: 'list';
  /** Whether objects are told of, or namespaces alone. */
  readonly objects: boolean;
}

/** A sample at once, and others for as long as the connection stays. */
export interface WatchRequest {
  readonly op: 'watch';
  readonly objects: boolean;
  /** Milliseconds from one sample to the next, at least 100. */
  readonly interval: number;
}

/** Everything about one object. */
export interface WhoRequest {
  readonly op: 'who';
  readonly kind: Kind;
  readonly hostId: number;
}

/** Every object of a kind, with its users and pins; then the connection ends. */
export interface ObjectsRequest {
  readonly op: 'objects';
  readonly kind: Kind;
}

/** What keeps one object alive, as a graph; then the connection ends. */
export interface GraphRequest {
  readonly op: 'graph';
  readonly kind: Kind;
  readonly hostId: number;
}

/** Every process in a namespace other than init; then the connection ends. */
export interface ProcessesRequest {
  readonly op: 'processes';
}

/** The namespace of a process or thread. */
export interface TaskRequest {
  readonly op: 'task';
  readonly pid: number;
}

/** Stops the agent's service and asks what it holds. If the connection ends before `release`, the agent continues. */
export interface HandoverRequest {
  readonly op: 'handover';
}

/** On the connection of a `handover`: everything has been taken over, and the agent ends. */
export interface ReleaseRequest {
  readonly op: 'release';
}

export type Request =
  | RunRequest
  | JoinRequest
  | CreateRequest
  | DescribeRequest
  | RemoveRequest
  | TracefsRequest
  | DelegateRequest
  | StatusRequest
  | EventsRequest
  | StatisticsRequest
  | ListRequest
  | WatchRequest
  | WhoRequest
  | ObjectsRequest
  | GraphRequest
  | ProcessesRequest
  | TaskRequest
  | HandoverRequest
  | ReleaseRequest;

/** Requests that change nothing: those that are served on the read-only socket. */
const readingOps = [
  'status',
  'events',
  'statistics',
  'list',
  'watch',
  'who',
  'objects',
  'graph',
  'processes',
  'task',
] as const;
export type ReadingRequest = Extract<Request, { op: (typeof readingOps)[number] }>;

export function isReading(request: Request): request is ReadingRequest {
  return (readingOps as readonly string[]).includes(request.op);
}

/** The reply to every request about one namespace. */
export interface NamespaceReply {
  readonly id: number;
  readonly path: string;
  readonly level: number;
  readonly tracing: TracingMode;
  /** Whether it still exists after the request. */
  readonly exists: boolean;
}

export interface TracefsReply {
  /** Of its directory, which stays as long as the agent. */
  readonly path: string;
}

export interface DelegateReply {
  readonly delegated: true;
}

export interface StatusReply {
  readonly pid: number;
  /** Whether it stays when no namespace is left. */
  readonly isDaemon: boolean;
  readonly backend: 'lsm' | 'kprobe' | 'function' | 'tracepoint';
  readonly namespaces: number;
  readonly lostObjects: number;
  readonly lostTasks: number;
  /** At most so many calls of bpf(2) that no hook saw: what they created belongs to init. */
  readonly missedCalls: number;
  /** Forks that no hook saw. */
  readonly missedForks: number;
  readonly ringOverflows: number;
  readonly budgets: readonly BudgetReply[];
}

/** Lines follow. */
export interface SubscribedReply {
  readonly subscribed: true;
}

/** A line after the reply to `objects`, `graph` or `processes`. Lists and texts are cut as those of `who`. */
export type ReportLine =
  | ({ readonly item: 'object' } & HostObject)
  | ({ readonly item: 'node' } & GraphNode)
  | ({ readonly item: 'edge' } & GraphEdge)
  | ({ readonly item: 'process' } & NamespaceProcess)
  | { readonly item: 'end' };

export interface StatisticsReply {
  /** Trapped calls that were answered since the agent started, by command. */
  readonly commands: ReadonlyArray<{
    readonly command: string;
    /** By 'ok', 'continue' or the name of the errno. */
    readonly results: Readonly<Record<string, number>>;
    /** From arrival to answer, all together. */
    readonly seconds: number;
  }>;
  /** Since it was put in place. */
  readonly recorder: {
    readonly ringOverflows: number;
    readonly lostObjects: number;
    readonly lostTasks: number;
    readonly missedCalls: number;
    readonly missedForks: number;
    readonly refused: number;
  };
  readonly runtime: RuntimeChoice;
}

export interface TaskReply {
  readonly pid: number;
  readonly namespace: number;
  readonly path: string;
  readonly level: number;
}

/** Everything about one object. Lists end with the first 200 entries, texts with 300 characters. */
export type WhoReply = ObjectReport;

export interface HandoverReply {
  /** The process that has the fds. */
  readonly pid: number;
  /** Its supervisor. */
  readonly supervisor: number;
  readonly journal: number;
  readonly listeners: ReadonlyArray<{
    readonly token: number;
    readonly fd: number;
    readonly namespace: number;
    /** '' if no container runtime sent it. */
    readonly container: string;
  }>;
}

export interface ReleaseReply {
  readonly released: true;
}

export interface ErrorReply {
  readonly error: { readonly code: string; readonly message: string };
}
