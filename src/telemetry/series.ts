/** Limits how many namespaces have series of their own. All others share one. */
import type { NamespaceCost } from '../control/usage.js';

/** The label of the shared series. No namespace can have this name. */
export const OTHERS = '(other)';

interface Counters {
  readonly runs: number;
  readonly runTime: number;
}

export class SeriesBound {
  readonly #most: number;
  readonly #own = new Set<number>();
  /** The last values of namespaces without series. */
  readonly #last = new Map<number, Counters>();
  #others = { runs: 0, runTime: 0 };

  /** @param most the most namespaces with series */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a namespace has series. The oldest have, and keep them as long as they live. */
  hasOwn(id: number): boolean {
    return this.#own.has(id);
  }

  /** Updates the set of namespaces. */
  update(ids: readonly number[]): void {
    const living = new Set(ids);
    for (const id of this.#own) if (!living.has(id)) this.#own.delete(id);
    for (const id of this.#last.keys()) if (!living.has(id)) this.#last.delete(id);
    for (const id of [...ids].sort((a, b) => a - b)) {
      if (this.#own.size >= this.#most) break;
      this.#own.add(id);
      this.#last.delete(id);
    }
  }

  /** The sum of all others, including those that are gone: it never falls. Call it once per look. */
  others(usages: readonly NamespaceCost[]): Counters {
    for (const { id, runs, runTime } of usages) {
      if (this.hasOwn(id)) continue;
      const last = this.#last.get(id) ?? { runs: 0, runTime: 0 };
      this.#others = {
        runs: this.#others.runs + Math.max(0, runs - last.runs),
        runTime: this.#others.runTime + Math.max(0, runTime - last.runTime),
      };
      this.#last.set(id, { runs, runTime });
    }
    return this.#others;
  }
}
