/** Which host ids have a living object, asked of the kernel. */
import { type HostId, type Kind, kinds } from '../model/ids.js';
import { getNextId } from '../sys/bpf.js';
import { E } from '../sys/errno.js';

/** Ids known to be dead: from one up to, not including, the other. */
interface Gap {
  from: number;
  to: number;
}

/**
 * One answer tells of all the dead up to the next one alive, and is remembered: where
 * objects come and go quickly, most questions cost nothing.
 */
export class LivingIds {
  readonly #gaps = Object.fromEntries(kinds.map((kind) => [kind, { from: 0, to: 0 }])) as Record<Kind, Gap>;

  isAlive(kind: Kind, host: HostId): boolean {
    const gap = this.#gaps[kind];
    if (host >= gap.from && host < gap.to) return false;
    // One call instead of opening and closing: is it the next id after its predecessor?
    const alive = getNextId(kind, host - 1);
    if (alive === host || (alive < 0 && alive !== -E.ENOENT)) return true;
    gap.from = host;
    // Behind the last one alive new ones may come at any time.
    gap.to = alive > 0 ? alive : host + 1;
    return false;
  }

  /** A gap is one until the kernel's numbers wrap round: call this now and then. */
  forgetGaps(): void {
    for (const kind of kinds) this.#gaps[kind].to = 0;
  }
}
