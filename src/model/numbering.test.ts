/**
 * The rule by which numbers are given out (bpf/numbers.h), against any history: creations that take
 * place at the same time, step by step, deaths, adoptions, and a kernel that counts round.
 * docs/decisions/0018-unambiguous-ids.md has the proof.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type HostId, hostId, nsId } from './ids.js';
import { Numbers } from './numbers.js';

/** One kind of object is enough: kinds do not share ids. */
interface SimulatedObject {
  readonly host: HostId;
  /** The filter of its creator that is waiting for its namespace; 0 if none. */
  readonly filter: number;
  owner: Space;
  /** Namespaces that have yet to give it a number, innermost first. */
  waiting: Space[];
  isAlive: boolean;
  /** BTF of the kernel's, visible everywhere. */
  isKernels: boolean;
}

/** A namespace's numbers; init's have no parent and are not given out. */
interface Space {
  readonly parent: Space | undefined;
  readonly level: number;
  readonly floor: number;
  readonly numbers: Numbers;
  counted: number;
}

class World {
  readonly init: Space = { parent: undefined, level: 0, floor: 0, numbers: new Numbers(), counted: 0 };
  readonly spaces: Space[] = [this.init];
  /** Those that live, or have died and were not forgotten yet. */
  readonly objects: SimulatedObject[] = [];
  readonly #maxId: number;
  #cursor = 0;
  /** Newest host id that was recorded. */
  #newest: number;

  constructor(headStart: number, maxId: number) {
    this.#maxId = maxId;
    this.#cursor = headStart;
    this.#newest = headStart;
  }

  addNamespace(parent: Space): void {
    const { level } = parent;
    const numbers = new Numbers();
    for (const { host, isKernels } of this.objects) if (isKernels) numbers.add(nsId(host), host);
    this.spaces.push({ parent, level: level + 1, floor: this.#newest, numbers, counted: 0 });
  }

  /** The kernel's part of a creation: cyclic, skipping what lives. Deaths are noted sooner than it counts round. */
  create(owner: Space, filter = 0): SimulatedObject | undefined {
    if (this.objects.length >= this.#maxId) return undefined;
    do this.#cursor = (this.#cursor % this.#maxId) + 1;
    while (this.objects.some(({ host }) => host === this.#cursor));
    const object = {
      host: hostId(this.#cursor),
      filter,
      owner,
      waiting: chain(owner),
      isAlive: true,
      isKernels: false,
    };
    this.objects.push(object);
    return object;
  }

  /** One step of the recorder. */
  advance(object: SimulatedObject): void {
    const space = object.waiting.shift();
    if (space) this.#giveNumber(space, object.host);
    // A serial number: newer by less than half the round.
    const ahead = (object.host - this.#newest + this.#maxId) % this.#maxId;
    if (object.waiting.length === 0 && ahead < this.#maxId / 2) this.#newest = object.host;
  }

  adopt(filter: number, owner: Space): void {
    const adopted = this.objects.filter((object) => object.filter === filter && object.owner === this.init);
    for (const object of adopted) {
      object.owner = owner;
      object.waiting = chain(owner);
      while (object.waiting.length > 0) this.advance(object);
    }
  }

  /** A module was loaded: every namespace has its BTF under the kernel's id. */
  addKernelBtf(): void {
    const object = this.create(this.init);
    if (!object) return;
    object.isKernels = true;
    for (const { numbers } of this.spaces.slice(1)) numbers.add(nsId(object.host), object.host);
  }

  forget(object: SimulatedObject): void {
    // The numbers of unloaded modules stay taken.
    if (object.isAlive || object.waiting.length > 0 || object.isKernels) return;
    this.objects.splice(this.objects.indexOf(object), 1);
    for (const { numbers } of this.spaces) {
      const number = numbers.idOf(object.host);
      if (number !== undefined) numbers.remove(number);
    }
  }

  isAlive(host: HostId): boolean {
    return this.objects.some((object) => object.host === host && object.isAlive);
  }

  #giveNumber(space: Space, host: HostId): void {
    const { numbers } = space;
    const isTaken = (number: number): boolean => numbers.hostOf(nsId(number)) !== undefined;
    while (space.counted < space.floor) {
      const next = ++space.counted;
      if (isTaken(next) || this.#isRecorded(next)) continue;
      numbers.add(nsId(next), host);
      return;
    }
    const isOther = (id: number): boolean => id !== host && this.objects.some((object) => object.host === id);
    for (let tries = 0, id: number = host; tries < this.#maxId; tries++, id = id > 1 ? id - 1 : this.#maxId) {
      if (isTaken(id) || isOther(id)) continue;
      numbers.add(nsId(id), host);
      return;
    }
  }

  /** An object that waits for a number has no record yet. */
  #isRecorded(host: number): boolean {
    return this.objects.some((object) => object.host === host && object.waiting.length === 0);
  }
}

function chain(owner: Space): Space[] {
  return owner.parent ? [owner, ...chain(owner.parent)] : [];
}

/** Objects that have, or are about to get, a number there. */
function visibleIn(world: World, space: Space): SimulatedObject[] {
  return world.objects.filter(
    (object) => object.isAlive && (object.waiting.includes(space) || space.numbers.idOf(object.host) !== undefined),
  );
}

type Step = readonly [
  'namespace' | 'create' | 'advance' | 'die' | 'forget' | 'made before' | 'adopt' | 'module',
  number,
];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant('namespace' as const) },
    { weight: 6, arbitrary: fc.constant('create' as const) },
    { weight: 12, arbitrary: fc.constant('advance' as const) },
    { weight: 3, arbitrary: fc.constant('die' as const) },
    { weight: 3, arbitrary: fc.constant('forget' as const) },
    { weight: 1, arbitrary: fc.constant('made before' as const) },
    { weight: 1, arbitrary: fc.constant('adopt' as const) },
    { weight: 1, arbitrary: fc.constant('module' as const) },
  ),
  fc.nat(1000),
);

const FILTERS = 3;

function take<T>(list: readonly T[], which: number): T | undefined {
  return list[which % Math.max(list.length, 1)];
}

function carryOut(world: World, [what, which]: Step): void {
  const space = take(world.spaces, which) ?? world.init;
  const object = take(world.objects, which);
  switch (what) {
    case 'namespace':
      if (world.spaces.length < 6) world.addNamespace(space);
      break;
    case 'create':
      if (space !== world.init) world.create(space);
      break;
    case 'advance': {
      const underWay = take(
        world.objects.filter(({ waiting }) => waiting.length > 0),
        which,
      );
      if (underWay) world.advance(underWay);
      break;
    }
    case 'die':
      if (object) object.isAlive = false;
      break;
    case 'forget':
      if (object) world.forget(object);
      break;
    case 'made before': {
      const early = world.create(world.init, 1 + (which % FILTERS));
      if (early) world.advance(early);
      break;
    }
    case 'adopt':
      if (space !== world.init) world.adopt(1 + (which % FILTERS), space);
      break;
    case 'module':
      world.addKernelBtf();
  }
}

/** Checks after every step of many histories. */
function always(maxId: fc.Arbitrary<number>, check: (world: World, space: Space) => void): void {
  fc.assert(
    fc.property(fc.nat(30), maxId, fc.array(step, { maxLength: 200, size: 'max' }), (headStart, most, steps) => {
      const world = new World(Math.min(headStart, most - 1), most);
      for (const each of steps) {
        carryOut(world, each);
        for (const space of world.spaces.slice(1)) check(world, space);
      }
    }),
    { numRuns: 300 },
  );
}

const hasIt = (space: Space, { host }: SimulatedObject, id: number): boolean =>
  space.numbers.idOf(host) === id || host === id;

describe('numbers, in any history of creations at the same time', () => {
  test('are never the host id of another object that is visible in the namespace', () => {
    always(fc.constant(0x7ffffffe), (world, space) => {
      const visible = visibleIn(world, space);
      for (const object of world.objects) {
        const isNumbered = chain(object.owner).includes(space) && !object.waiting.includes(space);
        if (isNumbered) assert.notEqual(space.numbers.idOf(object.host), undefined);
      }
      for (const object of visible) {
        const meant = visible.filter((other) => hasIt(space, other, space.numbers.idOf(object.host) ?? object.host));
        assert.deepEqual(meant, [object]);
      }
    });
  });

  test('are never given out twice, nor is the host id of an object that was made in the namespace', () => {
    const seen = new Map<string, HostId>();
    let last: World | undefined;
    always(fc.constant(0x7ffffffe), (world, space) => {
      if (world !== last) seen.clear();
      last = world;
      for (const { host, filter } of visibleIn(world, space)) {
        const number = space.numbers.idOf(host) ?? host;
        for (const id of filter === 0 ? [host, number] : [number]) {
          const key = `${world.spaces.indexOf(space)} ${id}`;
          assert.equal(seen.get(key) ?? host, host);
          seen.set(key, host);
        }
      }
    });
  });

  test('once the kernel has counted round lead to the right object or to none', () => {
    always(fc.integer({ min: 8, max: 60 }), (world, space) => {
      const visible = world.objects.filter(({ host, isAlive }) => isAlive && space.numbers.idOf(host) !== undefined);
      for (let id = 1; id <= 60; id++) {
        const meant = visible.filter((object) => hasIt(space, object, id));
        const found = space.numbers.resolve(id, (host) => world.isAlive(host));
        if (meant.length > 0) assert.equal(found, meant.length > 1 ? undefined : meant[0]?.host);
        else assert.ok(found === undefined || !world.isAlive(found));
      }
    });
  });
});
