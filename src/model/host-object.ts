/** What the host is told of objects and processes: the agent's answers, and the JSON of the listings. */
import type { ContainerLabels } from './container.js';
import type { Kind } from './ids.js';

export interface Process {
  readonly pid: number;
  readonly comm: string;
}

/** A process with a thread in a namespace other than init. */
export interface NamespaceProcess extends Process {
  readonly namespace: number;
}

export interface HostNamespace {
  readonly id: number;
  readonly name: string;
  readonly path: string;
}

/** One object as the host sees it. */
export interface HostObject {
  readonly kind: Kind;
  readonly hostId: number;
  /** The namespace that owns it. */
  readonly namespace: HostNamespace;
  /** The id in its namespace. */
  readonly id: number;
  readonly name: string;
  readonly type: string;
  /** Null if the object existed before bpfns, or has no record. */
  readonly creator: {
    readonly pid: number;
    readonly comm: string;
    readonly uid: number;
    readonly cgroup: { readonly id: string; readonly path: string | null };
    /** ISO 8601, UTC. */
    readonly time: string;
  } | null;
  readonly users: readonly Process[];
  readonly pins: readonly string[];
  /** Whether lists or texts are not whole, as they would not fit into an answer. */
  readonly isCut?: true;
}

/** Everything that can be told of one object. */
export interface ObjectReport extends HostObject {
  readonly containers: readonly ContainerLabels[];
  /** The kernel's, in bytes; 0 for a link. */
  readonly memory: number;
  /** Whether the agent loaded the program for its owner, and is charged for the memory. */
  readonly isByAgent: boolean;
  /** Every namespace from init down to the owner, with the object's id there. */
  readonly visibleIn: ReadonlyArray<{ readonly namespace: HostNamespace; readonly id: number }>;
  /** A line for each reason. */
  readonly keptAliveBy: readonly string[];
}

export interface GraphNode {
  /** The same for the same thing: 'map 41', 'process 1234', 'pin /sys/fs/bpf/x', 'cgroup /a'. */
  readonly id: string;
  readonly type: 'object' | 'process' | 'pin' | 'cgroup';
  /** A line each; names as guests chose them. */
  readonly label: readonly string[];
}

export interface GraphEdge {
  readonly from: string;
  /** What `from` keeps alive. */
  readonly to: string;
  readonly label: string;
}

/** What keeps an object alive, and what keeps that alive. */
export interface Graph {
  /** The first is the object that was asked for. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}
