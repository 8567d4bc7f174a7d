/**
 * Run counters, summed by namespace. A program's own counters end with it, but its runs stay in the
 * account of its namespace: a sum never falls while the namespace lives.
 */

/** A program at one moment. The counters are the kernel's, since the program was loaded. */
export interface ProgramReading {
  readonly hostId: number;
  /** The namespace that owns it. */
  readonly namespace: number;
  readonly loadTimeNs: number;
  readonly runs: number;
  readonly runTimeNs: number;
}

export interface Account {
  readonly runs: number;
  readonly runTimeNs: number;
}

export class Ledger {
  readonly #last = new Map<number, ProgramReading>();
  readonly #accounts = new Map<number, { runs: number; runTimeNs: number }>();
  #isNew = true;

  /**
   * Processes one look at all programs and namespaces. Runs before the first look are not counted.
   * All runs of programs that appear later are counted, since these did not exist at the previous
   * look.
   */
  take(programs: readonly ProgramReading[], namespaces: ReadonlySet<number>): void {
    const seen = new Set<number>();
    for (const reading of programs) {
      seen.add(reading.hostId);
      const before = this.#last.get(reading.hostId);
      const isSame = before?.loadTimeNs === reading.loadTimeNs;
      if (isSame || !this.#isNew) this.#add(reading, isSame ? before : undefined);
      this.#last.set(reading.hostId, reading);
    }
    for (const hostId of this.#last.keys()) if (!seen.has(hostId)) this.#last.delete(hostId);
    for (const id of this.#accounts.keys()) if (!namespaces.has(id)) this.#accounts.delete(id);
    this.#isNew = false;
  }

  of(namespace: number): Account {
    return this.#accounts.get(namespace) ?? { runs: 0, runTimeNs: 0 };
  }

  #add({ namespace, runs, runTimeNs }: ProgramReading, before: ProgramReading | undefined): void {
    const account = this.#accounts.get(namespace) ?? { runs: 0, runTimeNs: 0 };
    account.runs += Math.max(0, runs - (before?.runs ?? 0));
    account.runTimeNs += Math.max(0, runTimeNs - (before?.runTimeNs ?? 0));
    this.#accounts.set(namespace, account);
  }
}
