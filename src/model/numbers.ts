/** The ids of one kind in one namespace, in order. */
import { type HostId, hostId, type NsId, nsId } from './ids.js';

/** {@link Numbers.next} compacts the array once it has skipped this many removed ids. */
const PASSED_OVER = 64;

export interface Numbered {
  readonly id: NsId;
  readonly host: HostId;
}

/**
 * A sorted array. Ids mostly arrive in rising order, so adding one is usually a push, and a tree
 * would be slower. Removed ids stay in the array until there are many; ids that arrive out of order
 * are sorted in at the next lookup.
 */
export class Numbers {
  #ids: NsId[] = [];
  #isSorted = true;
  readonly #hosts = new Map<NsId, HostId>();
  readonly #byHost = new Map<HostId, NsId>();

  get size(): number {
    return this.#hosts.size;
  }

  add(id: NsId, host: HostId): void {
    if (this.#hosts.has(id)) return;
    if (id <= (this.#ids.at(-1) ?? 0)) this.#isSorted = false;
    this.#ids.push(id);
    this.#hosts.set(id, host);
    this.#byHost.set(host, id);
  }

  remove(id: NsId): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#hosts.delete(id);
    this.#byHost.delete(host);
    if (this.#ids.length > 2 * this.#hosts.size + PASSED_OVER) this.#tidy();
  }

  hostOf(id: NsId): HostId | undefined {
    return this.#hosts.get(id);
  }

  idOf(host: HostId): NsId | undefined {
    return this.#byHost.get(host);
  }

  /**
   * The object that `id` means: the one that has this number here, else the visible one with this
   * host id. Numbers are given out so that these are never two; should they be all the same, once the
   * kernel has counted round, it means neither.
   */
  resolve(id: number, isAlive: (host: HostId) => boolean): HostId | undefined {
    const named = this.#hosts.get(nsId(id));
    const alias = this.#byHost.has(hostId(id)) ? hostId(id) : undefined;
    if (named === undefined || alias === undefined || named === alias) return named ?? alias;
    if (!isAlive(alias)) return named;
    return isAlive(named) ? undefined : alias;
  }

  /** The lowest id greater than `start`, as for BPF_*_GET_NEXT_ID. */
  next(start: number): Numbered | undefined {
    if (!this.#isSorted) this.#tidy();
    const first = this.#above(start);
    for (let at = first; at < this.#ids.length; at++) {
      const id = this.#ids[at] as NsId;
      const host = this.#hosts.get(id);
      if (host !== undefined) return { id, host };
      if (at - first < PASSED_OVER) continue;
      this.#tidy();
      return this.next(start);
    }
    return undefined;
  }

  #tidy(): void {
    this.#ids = this.#isSorted
      ? this.#ids.filter((id) => this.#hosts.has(id))
      : [...this.#hosts.keys()].sort((a, b) => a - b);
    this.#isSorted = true;
  }

  /** Index of the first id greater than `start`. */
  #above(start: number): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ids[middle] ?? 0) > start) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
