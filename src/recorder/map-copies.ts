/**
 * Copies the maps of an earlier recorder, which may have other layouts, into those of a new one
 * (docs/decisions/0023-upgrade.md). Every copy can be repeated: the last one counts.
 */
import { existsSync } from 'node:fs';
import { mapForEach, mapLookup, mapUpdate, objGet } from '../sys/bpf.js';
import { Conversion, haveSameMembers, type Typed } from '../sys/btf-convert.js';
import { BPFNS_KINDS, BPFNS_UNOWNED, bpfns_status } from '../sys/contract.gen.js';
import { check } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { mapTypes } from '../sys/map-types.js';
import { setInitBudget } from './budgets.js';
import { u32Key } from './keys.js';
import type { MapName } from './loading.js';

/** Written by agents alone, of which none runs during an upgrade. */
const fixed = ['namespaces', 'next_namespace', 'filters'] as const;
/**
 * In this order: when an object's record is there, so are its numbers, and a number that was counted
 * in between is not counted again.
 */
const growing = ['objects', 'ids', 'counters', 'budgets', 'lost'] as const;
/** Members of struct bpfns_status that only grow. */
const totals = ['ring_overflows', 'lost_objects', 'lost_tasks', 'lost_unknown', 'refused'] as const;

/** The pinned maps of an earlier recorder. Close them. */
export class EarlierMaps implements Disposable {
  readonly #directory: string;
  readonly #opened = new Map<string, Fd>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined if that version had no such map. @throws SyscallError */
  find(name: MapName): number | undefined {
    const path = `${this.#directory}/${name}`;
    if (!this.#opened.has(name) && existsSync(path)) {
      this.#opened.set(name, new Fd(objGet(path)).checked('bpf', `cannot open the pinned map '${path}'`));
    }
    return this.#opened.get(name)?.number;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#opened.values()) fd.close();
  }
}

export class MapCopies {
  readonly #earlier: EarlierMaps;
  readonly #own: (name: MapName) => number;

  /** @param own the fd of a map of the new recorder */
  constructor(earlier: EarlierMaps, own: (name: MapName) => number) {
    this.#earlier = earlier;
    this.#own = own;
  }

  /** What the new hooks need from the start. @throws SyscallError, RangeError */
  copyFixed(): void {
    for (const name of fixed) this.#copy(name);
    this.#copyStatus();
  }

  /** Everything else, but for tasks. @returns the number of objects. @throws SyscallError, RangeError */
  copyGrowing(): number {
    const [objects = 0] = growing.map((name) => this.#copy(name));
    setInitBudget(this.#own('budgets'));
    this.#copyUnowned();
    this.#copyStatus();
    return objects;
  }

  /** @returns the number of entries */
  #copy(name: MapName): number {
    let count = 0;
    this.#forEach(name, (key, value) => {
      check(mapUpdate(this.#own(name), key, value), 'bpf', `cannot copy an entry of the map '${name}'`);
      count++;
    });
    return count;
  }

  /** Every entry of an earlier map, converted. */
  #forEach(name: MapName, visit: (key: Buffer, value: Buffer) => void): void {
    const fd = this.#earlier.find(name);
    if (fd === undefined) return;
    const [from, to] = [mapTypes(fd), mapTypes(this.#own(name))];
    if (!haveSameMembers(from.key, to.key)) throw new RangeError(`the keys of the map '${name}' have other members`);
    const [keys, values] = [conversion(name, from.key, to.key), conversion(name, from.value, to.value)];
    const key = Buffer.alloc(keys.toSize);
    const value = Buffer.alloc(values.toSize);
    const result = mapForEach(fd, keys.fromSize, values.fromSize, (oldKey, oldValue) => {
      keys.convert(oldKey, key);
      values.convert(oldValue, value);
      visit(key, value);
    });
    check(result, 'bpf', `cannot read the earlier map '${name}'`);
  }

  /** Our own hooks write it too: of each number, what is newer or larger counts. */
  #copyStatus(): void {
    this.#forEach('status', (key, earlier) => {
      const own = Buffer.alloc(bpfns_status.sizeof);
      check(mapLookup(this.#own('status'), key, own), 'bpf', "cannot read the recorder's status");
      for (let kind = 0; kind < BPFNS_KINDS; kind++) takeNewer(earlier, own, bpfns_status.newest + kind * 4);
      for (const total of totals) {
        const at = bpfns_status[total];
        if (earlier.readBigUInt64LE(at) > own.readBigUInt64LE(at)) earlier.copy(own, at, at, at + 8);
      }
      check(mapUpdate(this.#own('status'), key, own), 'bpf', "cannot write the recorder's status");
    });
  }

  /** The size of the array may have changed, so that an id has another place. */
  #copyUnowned(): void {
    const fd = this.#own('unowned');
    const own = Buffer.alloc(BPFNS_KINDS * 4);
    this.#forEach('unowned', (_, ids) => {
      for (let at = 0; at < own.length; at += 4) {
        const id = ids.readUInt32LE(at);
        if (id === 0) continue;
        const place = u32Key(id % BPFNS_UNOWNED);
        check(mapLookup(fd, place, own), 'bpf', 'cannot read the ids of unowned objects');
        takeNewer(ids, own, at);
        check(mapUpdate(fd, place, own), 'bpf', 'cannot write the ids of unowned objects');
      }
    });
  }
}

function conversion(name: string, from: Typed, to: Typed): Conversion {
  try {
    return new Conversion(from, to);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`the earlier map '${name}' cannot be converted: ${error.message}`);
  }
}

/** Copies an id if it is newer: compared as in bpf/records.h. */
function takeNewer(from: Buffer, to: Buffer, at: number): void {
  const [id, than] = [from.readUInt32LE(at), to.readUInt32LE(at)];
  if ((id - than) << 1 > 0) to.writeUInt32LE(id, at);
}
