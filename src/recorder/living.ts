/** Asks the kernel which host ids have a living object. */
import { type HostId, type Kind, kinds } from '../model/ids.js';
import { getNextId } from '../sys/bpf.js';
import { E } from '../sys/errno.js';

/** A range of ids that are known to be dead: from the first up to, not including, the second. */
interface Gap {
  from: number;
  to: number;
}

/**
 * One answer covers all dead ids up to the next living one, and is remembered. Where objects come
 * and go quickly, most questions cost nothing.
 */
export class LivingIds {
  readonly #gaps = Object.fromEntries(kinds.map((kind) => [kind, { from: 0, to: 0 }])) as Record<Kind, Gap>;

  isAlive(kind: Kind, host: HostId): boolean {
    const gap = this.#gaps[kind];
    if (host >= gap.from && host < gap.to) return false;
    // One call, instead of an open and a close: is it the next id after its predecessor?
    const alive = getNextId(kind, host - 1);
    if (alive === host || (alive < 0 && alive !== -E.ENOENT)) return true;
    gap.from = host;
    // New objects can appear after the last living one at any time.
    gap.to = alive > 0 ? alive : host + 1;
    return false;
  }

  /** A range is valid only until the kernel's ids wrap. Call this now and then. */
  forgetGaps(): void {
    for (const kind of kinds) this.#gaps[kind].to = 0;
  }
}
