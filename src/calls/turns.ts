/**
 * Work that takes long: a little of it at a time for each guest, so that whoever brings much of it
 * waits behind themselves. A guest is a namespace directly below init with all that is below it;
 * how many namespaces it makes inside does not count.
 */
import type { Namespace } from '../model/namespaces.js';
import { E, Refusal } from '../sys/errno.js';

/** The most slow calls that one guest may have under way or waiting: each keeps some fds of its caller open. */
export const MOST_SLOW_CALLS = 64;
/** How long a piece of work may hold up the event loop, in ms, before others get their turn. */
const SLICE = 2;

interface Waiting {
  readonly start: () => void;
}

interface Line {
  active: number;
  readonly waiting: Waiting[];
}

export class Turns {
  readonly #atOnce: number;
  readonly #most: number;
  readonly #lines = new Map<Namespace, Line>();

  /**
   * @param atOnce how much of one guest's work is under way at a time
   * @param most how much of it may be under way or wait
   */
  constructor(atOnce: number, most: number) {
    this.#atOnce = atOnce;
    this.#most = most;
  }

  /** Whether work is under way. */
  get isBusy(): boolean {
    return this.#lines.size > 0;
  }

  /**
   * Does the work once it is its turn. What of it must not be put off is done before that.
   * @throws Refusal ENOMEM if the guest has too much work already
   */
  take<T>(namespace: Namespace, work: () => Promise<T>): Promise<T> {
    const guest = namespace.top;
    const line = this.#lines.get(guest) ?? { active: 0, waiting: [] };
    if (line.active + line.waiting.length >= this.#most) {
      throw new Refusal(E.ENOMEM, 'queue', `namespace '${guest.path}' has ${this.#most} slow calls under way`);
    }
    this.#lines.set(guest, line);
    return new Promise<T>((resolve, reject) => {
      line.waiting.push({
        start: () => {
          line.active++;
          // What it throws before its first await rejects, too.
          void Promise.resolve()
            .then(work)
            .then(resolve, reject)
            .finally(() => {
              line.active--;
              this.#next(guest, line);
            });
        },
      });
      this.#next(guest, line);
    });
  }

  #next(guest: Namespace, line: Line): void {
    if (line.active < this.#atOnce) line.waiting.shift()?.start();
    if (line.active === 0) this.#lines.delete(guest);
  }
}

/** Lets others have the event loop whenever a piece of work has had it for long enough. */
export class Slices {
  #began = performance.now();

  /** To be awaited between two steps. */
  async pause(): Promise<void> {
    if (performance.now() - this.#began < SLICE) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#began = performance.now();
  }
}
