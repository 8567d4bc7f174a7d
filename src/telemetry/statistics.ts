/** Counters of trapped calls: cheap to update, and read only for metrics. */
/** Upper bounds of the latency histogram, in seconds. */
export const latencyBounds = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1, 5] as const;

export class CommandStatistics {
  /** By result: 'ok', 'continue' or the name of the errno. */
  readonly results = new Map<string, number>();
  /**
   * Calls that took at most the bound of this index, and longer than the one before. The last:
   * longer than all bounds.
   */
  readonly buckets: number[] = Array.from({ length: latencyBounds.length + 1 }, () => 0);
  /** The sum of all times, in seconds. */
  total = 0;
}

/** Calls of one namespace. */
export interface CallCounts {
  calls: number;
  /** Calls that were answered with EPERM. */
  refused: number;
}

export class Statistics {
  readonly commands = new Map<string, CommandStatistics>();
  /** By the id of a namespace. Whoever removes a namespace deletes its counts. */
  readonly namespaces = new Map<number, CallCounts>();
  /** Programs and events that tracing modes refused. */
  refusedTracing = 0;

  /**
   * @param result 'ok', 'continue' or the name of the errno
   * @param seconds from the call's arrival at the agent to its answer
   * @param namespace the caller's
   */
  count(command: string, result: string, seconds: number, namespace: number): void {
    let own = this.namespaces.get(namespace);
    if (!own) {
      own = { calls: 0, refused: 0 };
      this.namespaces.set(namespace, own);
    }
    own.calls++;
    if (result === 'EPERM') own.refused++;
    let of = this.commands.get(command);
    if (!of) {
      of = new CommandStatistics();
      this.commands.set(command, of);
    }
    of.results.set(result, (of.results.get(result) ?? 0) + 1);
    let bucket = 0;
    while (bucket < latencyBounds.length && seconds > (latencyBounds[bucket] ?? 0)) bucket++;
    of.buckets[bucket] = (of.buckets[bucket] ?? 0) + 1;
    of.total += seconds;
  }
}
