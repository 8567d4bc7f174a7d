/** Computes rates from counters: what happened between two samples. */
import type { NamespaceUsage, ObjectUsage, Sample } from './usage.js';

export interface Rates {
  /** The share of one CPU, in percent. */
  readonly cpu: number;
  /** Runs of programs per second. */
  readonly runs: number;
  /** The time of one run, in nanoseconds; 0 if there was none. */
  readonly averageNs: number;
  /** Trapped calls per second; 0 for an object. */
  readonly calls: number;
}

export const noRates: Rates = { cpu: 0, runs: 0, averageNs: 0, calls: 0 };

/** One sample, with the rates since the previous one. */
export interface Measured {
  readonly sample: Sample;
  /** False for the first sample, or if runs are not counted. All rates except those of calls are 0 then. */
  readonly hasRates: boolean;
  readonly ofNamespace: (id: number) => Rates;
  readonly ofObject: (object: Pick<ObjectUsage, 'kind' | 'hostId'>) => Rates;
}

interface Counters {
  readonly runs: number;
  readonly runTime: number;
  readonly calls: number;
}

/** Everything counts for an object that is new since the last sample. Counters that fell have started again. */
function between(before: Counters | undefined, now: Counters, seconds: number): Rates {
  const since = (key: keyof Counters): number => {
    const earlier = before?.[key] ?? 0;
    return now[key] >= earlier ? now[key] - earlier : now[key];
  };
  const runs = since('runs');
  const runTime = since('runTime');
  return {
    cpu: (runTime / seconds) * 100,
    runs: runs / seconds,
    averageNs: runs > 0 ? (runTime / runs) * 1e9 : 0,
    calls: since('calls') / seconds,
  };
}

const keyOf = ({ kind, hostId }: Pick<ObjectUsage, 'kind' | 'hostId'>): string => `${kind} ${hostId}`;

/** Processes the samples of one connection, in order. */
export class Meter {
  #before: { sample: Sample; namespaces: Map<number, NamespaceUsage>; objects: Map<string, ObjectUsage> } | undefined;

  measure(sample: Sample): Measured {
    const before = this.#before;
    const namespaces = new Map(sample.namespaces.map((usage) => [usage.id, usage]));
    const objects = new Map(
      sample.objects.flatMap(
        (usage): Array<[string, ObjectUsage]> => (usage.kind === 'prog' ? [[keyOf(usage), usage]] : []),
      ),
    );
    this.#before = { sample, namespaces, objects };
    if (!before) return { sample, hasRates: false, ofNamespace: () => noRates, ofObject: () => noRates };
    const seconds = Math.max(1e-3, sample.seconds - before.sample.seconds);
    return {
      sample,
      hasRates: sample.counting && before.sample.counting,
      ofNamespace: (id) => {
        const now = namespaces.get(id);
        return now ? between(before.namespaces.get(id), now, seconds) : noRates;
      },
      ofObject: (object) => {
        const now = objects.get(keyOf(object));
        const earlier = before.objects.get(keyOf(object));
        return now ? between(earlier && { ...earlier, calls: 0 }, { ...now, calls: 0 }, seconds) : noRates;
      },
    };
  }
}
