/** The dead are found: the newest records first, then the others round and round. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type HostId, hostId, type Kind } from '../model/ids.js';
import { Sweeper } from './sweeper.js';

/** A sweeper over these records that notes what it looks at. */
function sweeperOver(records: ReadonlyArray<readonly [Kind, HostId]>): { sweeper: Sweeper; looked: number[] } {
  const looked: number[] = [];
  const sweeper = new Sweeper(
    () => records[Symbol.iterator](),
    (_, host) => looked.push(host),
    () => undefined,
  );
  return { sweeper, looked };
}

const ids = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('looking for the dead', () => {
  test('looks at all that was noted, in order, and then at as many older ones twice', () => {
    const old = ids(1, 1001).map((id) => ['map', hostId(id)] as const);
    const { sweeper, looked } = sweeperOver(old);
    for (const id of ids(5000, 5100)) sweeper.note('map', hostId(id));
    assert.ok(sweeper.isBehind);
    while (sweeper.isBehind) sweeper.catchUp(1);
    assert.deepEqual(looked.slice(0, 100), ids(5000, 5100));
    assert.ok(looked.length >= 300, `${looked.length} looks`);
  });

  test('loses none of very many', () => {
    const { sweeper, looked } = sweeperOver([]);
    for (const id of ids(1, 50_001)) sweeper.note('map', hostId(id));
    while (sweeper.isBehind) sweeper.catchUp(5);
    assert.deepEqual(looked, ids(1, 50_001));
  });

  test('lets others go on, however many there are and come', () => {
    const look = (_: Kind, host: HostId): void => {
      for (const end = performance.now() + 0.1; performance.now() < end; );
      sweeper.note('map', hostId(host + 10_000));
    };
    const sweeper: Sweeper = new Sweeper(
      () => [][Symbol.iterator](),
      look,
      () => undefined,
    );
    for (const id of ids(1, 10_001)) sweeper.note('map', hostId(id));
    sweeper.catchUp(1);
    assert.ok(sweeper.isBehind);
  });

  test('does nothing without patience', () => {
    const { sweeper, looked } = sweeperOver([]);
    sweeper.note('map', hostId(1));
    sweeper.catchUp(0);
    assert.deepEqual(looked, []);
    assert.ok(sweeper.isBehind);
  });
});
