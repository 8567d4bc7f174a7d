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

export class Statistics {
  readonly commands = new Map<string, CommandStatistics>();

  /**
   * @param result 'ok', 'continue' or the name of the errno
   * @param seconds from the call's arrival at the agent to its answer
   */
  count(command: string, result: string, seconds: number): void {
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
