/** Reads everything again from time to time, a part in each turn of the event loop. */

/** For how many times as long as a reading took there is no other. */
const REST = 4;

export class Rereading {
  readonly #read: () => Iterator<unknown>;
  readonly #now: () => number;
  #parts: Iterator<unknown> | undefined;
  /** How long this reading has taken so far, in ms. */
  #taken = 0;
  /** When the next one may begin. */
  #restUntil = Number.NEGATIVE_INFINITY;

  /**
   * @param read reads a part, of some milliseconds at most, each time the next one is asked for
   * @param now a clock, in ms
   */
  constructor(read: () => Iterator<unknown>, now = () => performance.now()) {
    this.#read = read;
    this.#now = now;
  }

  /** Begins at the start. False if another one is under way, or ended a moment ago: nothing else would be done. */
  begin(): boolean {
    if (this.#parts || this.#now() < this.#restUntil) return false;
    this.#parts = this.#read();
    this.#taken = 0;
    return true;
  }

  get isUnderWay(): boolean {
    return this.#parts !== undefined;
  }

  /** Reads so many parts at most. */
  goOn(most: number): void {
    if (!this.#parts) return;
    const began = this.#now();
    let done: boolean | undefined = false;
    for (let i = 0; i < most && !done; i++) done = this.#parts.next().done;
    const now = this.#now();
    this.#taken += now - began;
    if (!done) return;
    this.#parts = undefined;
    this.#restUntil = now + REST * this.#taken;
  }
}
