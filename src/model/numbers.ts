/** One number space: the ids of one kind in one namespace, in order. */
import type { HostId, NsId } from './ids.js';

export interface Numbered {
  readonly id: NsId;
  readonly host: HostId;
}

/** Ids mostly arrive in rising order, so a sorted array beats a tree: adding is a push. */
export class Numbers {
  readonly #ids: NsId[] = [];
  readonly #hosts = new Map<NsId, HostId>();
  readonly #byHost = new Map<HostId, NsId>();

  get size(): number {
    return this.#ids.length;
  }

  add(id: NsId, host: HostId): void {
    if (this.#hosts.has(id)) return;
    const last = this.#ids.at(-1);
    if (last === undefined || id > last) this.#ids.push(id);
    else this.#ids.splice(this.#above(id), 0, id);
    this.#hosts.set(id, host);
    this.#byHost.set(host, id);
  }

  remove(id: NsId): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#ids.splice(this.#above(id) - 1, 1);
    this.#hosts.delete(id);
    this.#byHost.delete(host);
  }

  hostOf(id: NsId): HostId | undefined {
    return this.#hosts.get(id);
  }

  idOf(host: HostId): NsId | undefined {
    return this.#byHost.get(host);
  }

  /** The lowest id above `start`, as BPF_*_GET_NEXT_ID counts. */
  next(start: number): Numbered | undefined {
    const id = this.#ids[this.#above(start)];
    const host = id === undefined ? undefined : this.#hosts.get(id);
    return id === undefined || host === undefined ? undefined : { id, host };
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
