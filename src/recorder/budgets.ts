/**
 * What each top-level namespace may use, with everything below it: the map "budgets". A guest
 * that uses up its own budget takes nothing from others.
 */
import { INIT, type NamespaceId } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import { mapDelete, mapLookup, mapUpdate } from '../sys/bpf.js';
import { BPFNS_GUARANTEED, BPFNS_NUMBERS, BPFNS_OBJECTS, bpfns_budget } from '../sys/contract.gen.js';
import { check } from '../sys/errno.js';
import { u32Key } from './keys.js';

/** The most of each, for a top-level namespace and all below it. */
export interface Limits {
  /** Objects alive at a time. */
  readonly objects: number;
  /** Ids of these, one for each level; and of each kernel-owned BTF, one in each namespace. */
  readonly numbers: number;
  /** Namespaces, itself included. */
  readonly namespaces: number;
}

/** BPFNS_GUARANTEED namespaces that use up all of theirs fit into the tables, and init's objects too. */
export const defaultLimits: Limits = { objects: 8192, numbers: 16384, namespaces: 256 };

/** What is left of the table for init. Its ids are the kernel's and take up no numbers. */
const initLimits = { objects: BPFNS_OBJECTS - BPFNS_GUARANTEED * defaultLimits.objects, numbers: BPFNS_NUMBERS };

export interface Usage {
  readonly objects: number;
  readonly maxObjects: number;
  readonly numbers: number;
  readonly maxNumbers: number;
  /** Objects that were created beyond the budget since the namespace began: they belong to init. */
  readonly unowned: number;
}

/** What of the recorder is needed here. */
interface Charging {
  mapFd(name: 'budgets'): number;
  /** Takes numbers from a budget, or gives them back. @returns -ENOSPC */
  charge(top: number, numbers: number): number;
}

export class Budgets {
  readonly #recorder: Charging;
  readonly #limits: Limits;
  /** Of each top-level namespace, what was told of already. */
  readonly #told = new Map<Namespace, number>();

  /** @param limits of the top-level namespaces that begin from now on */
  constructor(recorder: Charging, limits: Limits) {
    this.#recorder = recorder;
    this.#limits = limits;
  }

  /** Whether there is room for a new namespace, which has the numbers of so many kernel-owned BTFs. */
  begin(namespace: Namespace, numbers: number): boolean {
    const { top } = namespace;
    if (top === namespace && write(this.#fd, top.id, this.#limits) < 0) return false;
    return this.charge(namespace, numbers);
  }

  /** Of a namespace that has so many numbers left, all of kernel-owned BTF. */
  end(namespace: Namespace, numbers: number): void {
    this.#told.delete(namespace);
    if (namespace.top === namespace) mapDelete(this.#fd, u32Key(namespace.id));
    else this.#recorder.charge(namespace.top.id, -numbers);
  }

  /** Takes numbers for kernel-owned BTF; false beyond the budget. */
  charge(namespace: Namespace, numbers: number): boolean {
    return this.#recorder.charge(namespace.top.id, numbers) >= 0;
  }

  /** The most namespaces in a tree below init, its top-level one included. */
  get maxNamespaces(): number {
    return this.#limits.namespaces;
  }

  /** Whether one more namespace in the tree of `parent` would be too many. */
  isFull(parent: Namespace): boolean {
    return parent.level > 0 && parent.top.descendants + 1 >= this.#limits.namespaces;
  }

  /** What a top-level namespace uses; undefined if it is gone. */
  usage(top: Namespace): Usage | undefined {
    const value = Buffer.alloc(bpfns_budget.sizeof);
    if (mapLookup(this.#fd, u32Key(top.id), value) < 0) return undefined;
    return {
      objects: Number(value.readBigInt64LE(bpfns_budget.objects)),
      maxObjects: value.readUInt32LE(bpfns_budget.max_objects),
      numbers: Number(value.readBigInt64LE(bpfns_budget.numbers)),
      maxNumbers: value.readUInt32LE(bpfns_budget.max_numbers),
      unowned: Number(value.readBigUInt64LE(bpfns_budget.unowned)),
    };
  }

  /** How many objects more a top-level namespace has created beyond its budget since this was last asked. */
  newlyUnowned(top: Namespace): number {
    const unowned = this.usage(top)?.unowned ?? 0;
    const count = unowned - (this.#told.get(top) ?? 0);
    this.#told.set(top, unowned);
    return count;
  }

  get #fd(): number {
    return this.#recorder.mapFd('budgets');
  }
}

/** Sets the limits of init's own budget, which are fixed. What it uses stays. @throws SyscallError */
export function setInitBudget(fd: number): void {
  check(write(fd, INIT, initLimits), 'bpf', 'cannot write the budgets');
}

function write(fd: number, top: NamespaceId, { objects, numbers }: Pick<Limits, 'objects' | 'numbers'>): number {
  const value = Buffer.alloc(bpfns_budget.sizeof);
  mapLookup(fd, u32Key(top), value); // a new one is zero
  value.writeUInt32LE(objects, bpfns_budget.max_objects);
  value.writeUInt32LE(numbers, bpfns_budget.max_numbers);
  return mapUpdate(fd, u32Key(top), value);
}
