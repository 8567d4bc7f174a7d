/** Finds the dead among the recorded objects, a few at a time: deaths are told by nobody. */
import type { HostId, Kind } from '../model/ids.js';

/** Older records looked at for each new one, so that the dead cannot pile up however quickly objects come and go. */
const LOOKS_PER_EVENT = 2;
/** Every record that there can be, once (bpf/maps.h). */
const MOST_OWED = 262_144;
/** So many that were looked at are taken out in one go. */
const MANY_DONE = 16_384;
/** How many are looked at between two looks at the clock. */
const LOOKS = 32;

export class Sweeper {
  readonly #everything: () => Iterator<readonly [Kind, HostId]>;
  readonly #look: (kind: Kind, host: HostId) => unknown;
  readonly #onRound: () => void;
  #round: Iterator<readonly [Kind, HostId]>;
  /** Noted and not looked at since, in the order of their ids: most live for a moment only. */
  #fresh: Array<readonly [Kind, HostId]> = [];
  /** How many of them have been looked at: taking them out one by one would move all others each time. */
  #done = 0;
  /** Older records that are still to be looked at, see {@link LOOKS_PER_EVENT}. */
  #owed = 0;

  /**
   * @param everything all recorded objects
   * @param look forgets one that is dead
   * @param onRound told when all of them have been looked at
   */
  constructor(
    everything: () => Iterator<readonly [Kind, HostId]>,
    look: (kind: Kind, host: HostId) => unknown,
    onRound: () => void,
  ) {
    this.#everything = everything;
    this.#look = look;
    this.#onRound = onRound;
    this.#round = everything();
  }

  /** An object was recorded. */
  note(kind: Kind, host: HostId): void {
    if (this.#fresh.length < MOST_OWED) this.#fresh.push([kind, host]);
    this.#owed = Math.min(this.#owed + LOOKS_PER_EVENT, MOST_OWED);
  }

  /** Whether there is something to look at on account of what was noted. */
  get isBehind(): boolean {
    return this.#done < this.#fresh.length || this.#owed > 0;
  }

  /**
   * Looks at what was noted and at as many older ones, for so many ms at most. In a flood of creations the
   * dead pile up meanwhile: they count for the budget of whoever makes them.
   */
  catchUp(patience: number): void {
    if (!this.isBehind) return;
    const end = performance.now() + patience;
    while (this.isBehind && performance.now() < end) {
      for (const [kind, host] of this.#fresh.slice(this.#done, this.#done + LOOKS)) this.#look(kind, host);
      this.#done += LOOKS;
      if (this.#done >= Math.min(this.#fresh.length, MANY_DONE)) {
        this.#fresh = this.#fresh.slice(this.#done);
        this.#done = 0;
      }
      if (this.#fresh.length > 0) continue;
      this.sweep(Math.min(this.#owed, LOOKS));
      this.#owed = Math.max(0, this.#owed - LOOKS);
    }
  }

  /** Looks at so many records, round and round. */
  sweep(count: number): void {
    for (let i = 0; i < count; i++) {
      const next = this.#round.next();
      if (next.done) {
        this.#onRound();
        this.#round = this.#everything();
        return;
      }
      this.#look(...next.value);
    }
  }
}
