/** Remembers what each subscriber of `watch` was told, and computes what it is told next. */
import type { NamespaceUsage, ObjectUsage, WatchLine } from '../control/usage.js';

/** One look, in the form that {@link Samples.lines} needs. */
export interface Look {
  readonly counting: boolean;
  readonly namespaces: readonly NamespaceUsage[];
  /** The same JavaScript object as in the previous look, if nothing in it changed. */
  readonly objects: Iterable<ObjectUsage>;
}

export class Samples {
  readonly #told = new Map<number, Map<string, ObjectUsage>>();

  /** A sample for one subscriber, as lines. */
  lines(subscriber: number, wantsObjects: boolean, look: Look): string {
    const lines: WatchLine[] = [
      {
        item: 'sample',
        time: new Date().toISOString(),
        seconds: performance.now() / 1000,
        counting: look.counting,
      },
      ...look.namespaces.map((usage) => ({ item: 'namespace' as const, ...usage })),
      ...(wantsObjects ? this.#changes(subscriber, look.objects) : []),
      { item: 'end' },
    ];
    return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  }

  forget(subscriber: number): void {
    this.#told.delete(subscriber);
  }

  #changes(subscriber: number, objects: Iterable<ObjectUsage>): WatchLine[] {
    const before = this.#told.get(subscriber) ?? new Map<string, ObjectUsage>();
    const now = new Map<string, ObjectUsage>();
    const lines: WatchLine[] = [];
    for (const usage of objects) {
      const key = `${usage.kind} ${usage.hostId}`;
      const told = before.get(key);
      now.set(key, usage);
      if (told === usage) continue;
      if (told && isSameObject(told, usage)) {
        const { kind, hostId, memory, runs, runTime } = usage;
        lines.push({ item: 'counts', kind, hostId, memory, runs, runTime });
      } else {
        lines.push({ item: 'object', ...usage });
      }
    }
    for (const [key, { kind, hostId }] of before) if (!now.has(key)) lines.push({ item: 'gone', kind, hostId });
    this.#told.set(subscriber, now);
    return lines;
  }
}

/** Whether only counters differ. */
function isSameObject(a: ObjectUsage, b: ObjectUsage): boolean {
  return (
    a.namespace === b.namespace && a.id === b.id && a.name === b.name && a.type === b.type && a.creator === b.creator
  );
}
