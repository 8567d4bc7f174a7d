/** What BPF costs and whose it is, as `list` and `watch` tell it: one JSON object a line. */
import type { ContainerLabels } from '../model/container.js';
import type { Kind } from '../model/ids.js';

/** Whether the kernel counts runs and run time: never, while somebody looks, or as long as the agent serves. */
export type RuntimeChoice = 'off' | 'on-demand' | 'always';

/** What one namespace owns, without what those below it own. */
export interface NamespaceUsage {
  readonly id: number;
  readonly path: string;
  readonly name: string;
  /** 0 for init. */
  readonly level: number;
  readonly parent: number | null;
  readonly ownerUid: number;
  /** The containers in it, or the last that was; empty if no container runtime made it. */
  readonly containers: readonly ContainerLabels[];
  readonly objects: Readonly<Record<Kind, number>>;
  /** Bytes of the kernel's memory. */
  readonly memory: number;
  /** Of its programs, those that have ended included, since the agent first looked. */
  readonly runs: number;
  /** Seconds, likewise. */
  readonly runTime: number;
  /** Trapped calls that were answered since the agent started. */
  readonly calls: number;
  /** Those of them that were answered with EPERM. */
  readonly refused: number;
}

export interface ObjectUsage {
  readonly kind: Kind;
  /** The kernel's own id. */
  readonly hostId: number;
  /** The owner. */
  readonly namespace: number;
  /** The id there; 0 if it has none yet. */
  readonly id: number;
  readonly name: string;
  readonly type: string;
  /** null: it was there before bpfns, or the kernel made it. */
  readonly creator: { readonly pid: number; readonly comm: string; readonly uid: number } | null;
  /** Bytes of the kernel's memory; 0 for a link. */
  readonly memory: number;
  /** Of a program, since it was loaded, while statistics were on; 0 for other kinds. */
  readonly runs: number;
  /** Seconds, likewise. */
  readonly runTime: number;
}

/** What changes in an object that stays. */
export type ObjectCounts = Pick<ObjectUsage, 'kind' | 'hostId' | 'memory' | 'runs' | 'runTime'>;

/** A line: each sample begins with `sample`, has all namespaces and what changed of the objects, and ends with `end`. */
export type WatchLine =
  | {
      readonly item: 'sample';
      /** ISO 8601, UTC. */
      readonly time: string;
      /** Of a clock that is not set, from whatever start: for differences. */
      readonly seconds: number;
      /** Whether the kernel counts runs and run time now. */
      readonly counting: boolean;
    }
  | ({ readonly item: 'namespace' } & NamespaceUsage)
  | ({ readonly item: 'object' } & ObjectUsage)
  | ({ readonly item: 'counts' } & ObjectCounts)
  | { readonly item: 'gone'; readonly kind: Kind; readonly hostId: number }
  | { readonly item: 'end' };

/** All there was at one moment. */
export interface Sample {
  readonly time: string;
  readonly seconds: number;
  readonly counting: boolean;
  /** Parents before children, init first. */
  readonly namespaces: readonly NamespaceUsage[];
  /** In the order of kinds and host ids; empty if they were not asked for. */
  readonly objects: readonly ObjectUsage[];
}

/** Puts the lines of `watch` together to samples. */
export class SampleReader {
  readonly #objects = new Map<string, ObjectUsage>();
  #head: Extract<WatchLine, { item: 'sample' }> | undefined;
  #namespaces: NamespaceUsage[] = [];

  /** @returns the sample that this line ends, if it ends one */
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
        return undefined; // of a newer agent
    }
  }
}
