/** The cost of BPF objects and their owners, as reported by `list` and `watch`: one JSON object per line. */
import type { ContainerLabels } from '../model/container.js';
import type { Kind } from '../model/ids.js';
import type { TracingMode } from '../model/namespaces.js';

/** When the kernel counts runs and run time: never, while somebody watches, or as long as the agent serves. */
export type RuntimeChoice = 'off' | 'on-demand' | 'always';

/** What one namespace owns, without the namespaces below it. */
export interface NamespaceCost {
  readonly id: number;
  readonly path: string;
  readonly name: string;
  /** 0 for init. */
  readonly level: number;
  readonly parent: number | null;
  readonly ownerUid: number;
  readonly tracing: TracingMode;
  /** Whether it lives without tasks and objects (`bpfns create`). */
  readonly keep: boolean;
  /** The containers in it, or the last one; empty if no container runtime created it. */
  readonly containers: readonly ContainerLabels[];
  readonly objects: Readonly<Record<Kind, number>>;
  /** The kernel's memory, in bytes. */
  readonly memory: number;
  /** Runs of its programs since the agent's first look, including programs that have ended. */
  readonly runs: number;
  /** In seconds, likewise. */
  readonly runTime: number;
  /** Trapped calls that were answered since the agent started. */
  readonly calls: number;
  /** How many of them were answered with EPERM. */
  readonly refused: number;
}

/** The same, with its tasks. */
export interface NamespaceUsage extends NamespaceCost {
  /** The number of processes in it; null for init, which has all others. */
  readonly tasks: number | null;
  /** Whether only objects keep it alive: no task, no child, no `create`. */
  readonly orphaned: boolean;
}

export interface ObjectUsage {
  readonly kind: Kind;
  /** The host id. */
  readonly hostId: number;
  /** The namespace that owns it. */
  readonly namespace: number;
  /** The id in that namespace; 0 if it has none yet. */
  readonly id: number;
  readonly name: string;
  readonly type: string;
  /** Null if it existed before bpfns, or the kernel created it. */
  readonly creator: { readonly pid: number; readonly comm: string; readonly uid: number } | null;
  /** The kernel's memory, in bytes; 0 for a link. */
  readonly memory: number;
  /** Runs of a program since it was loaded, while statistics were on; 0 for other kinds. */
  readonly runs: number;
  /** In seconds, likewise. */
  readonly runTime: number;
}

/** What BPF costs at one moment, for metrics. */
export interface Usage {
  /** Whether the kernel counts runs and run time. */
  readonly counting: boolean;
  readonly namespaces: readonly NamespaceCost[];
  /** Those that are to have series of their own. */
  readonly programs: readonly ObjectUsage[];
}

/** The changing part of an object. */
export type ObjectCounts = Pick<ObjectUsage, 'kind' | 'hostId' | 'memory' | 'runs' | 'runTime'>;

/** One line. Each sample starts with `sample`, has all namespaces and the changed objects, and ends with `end`. */
export type WatchLine =
  | {
      readonly item: 'sample';
      /** ISO 8601, UTC. */
      readonly time: string;
      /** Of a monotonic clock with an arbitrary start: for differences. */
      readonly seconds: number;
      /** Whether the kernel counts runs and run time now. */
      readonly counting: boolean;
    }
  | ({ readonly item: 'namespace' } & NamespaceUsage)
  | ({ readonly item: 'object' } & ObjectUsage)
  | ({ readonly item: 'counts' } & ObjectCounts)
  | { readonly item: 'gone'; readonly kind: Kind; readonly hostId: number }
  | { readonly item: 'end' };

/** Everything that existed at one moment. */
export interface Sample {
  readonly time: string;
  readonly seconds: number;
  readonly counting: boolean;
  /** Parents before children, init first. */
  readonly namespaces: readonly NamespaceUsage[];
  /** In the order of kinds and host ids; empty if objects were not requested. */
  readonly objects: readonly ObjectUsage[];
}

/** Assembles samples from the lines of `watch`. */
export class SampleReader {
  readonly #objects = new Map<string, ObjectUsage>();
  #head: Extract<WatchLine, { item: 'sample' }> | undefined;
  #namespaces: NamespaceUsage[] = [];

  /** @returns the sample that this line completes, if any */
  take(line: WatchLine): Sample | undefined {
    switch (line.item) {
      case 'sample':
        this.#head = line;
        this.#namespaces = [];
        return undefined;
      case 'namespace': {
        const { item: _, ...usage } = line;
        this.#namespaces.push(usage);
        return undefined;
      }
      case 'object': {
        const { item: _, ...usage } = line;
        this.#objects.set(`${line.kind} ${line.hostId}`, usage);
        return undefined;
      }
      case 'counts': {
        const { item: _, ...counts } = line;
        const known = this.#objects.get(`${line.kind} ${line.hostId}`);
        if (known) this.#objects.set(`${line.kind} ${line.hostId}`, { ...known, ...counts });
        return undefined;
      }
      case 'gone':
        this.#objects.delete(`${line.kind} ${line.hostId}`);
        return undefined;
      case 'end': {
        if (!this.#head) return undefined;
        const { time, seconds, counting } = this.#head;
        return { time, seconds, counting, namespaces: this.#namespaces, objects: [...this.#objects.values()] };
      }
      default:
        return undefined; // from a newer agent
    }
  }
}
