import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { NamespaceUsage } from '../control/usage.js';
import { SeriesBound } from './series.js';

const usage = (id: number, runs: number): NamespaceUsage => ({
  id,
  path: String(id),
  name: '',
  level: 1,
  parent: 0,
  ownerUid: 0,
  tracing: 'host',
  keep: false,
  tasks: 1,
  orphaned: false,
  containers: [],
  objects: { map: 0, prog: 0, link: 0, btf: 0 },
  memory: 0,
  runs,
  runTime: runs,
  calls: 0,
  refused: 0,
});

describe('the bound on series', () => {
  test('gives the oldest namespaces series, and those that come later once there is room', () => {
    const bound = new SeriesBound(2);
    bound.update([0, 3, 5]);
    assert.deepEqual(
      [0, 3, 5].map((id) => bound.hasOwn(id)),
      [true, true, false],
    );
    bound.update([0, 5, 7]);
    assert.deepEqual(
      [0, 5, 7].map((id) => bound.hasOwn(id)),
      [true, true, false],
    );
  });

  test('holds, and what the others add up to never falls', () => {
    const look = fc.dictionary(fc.constantFrom('1', '2', '3', '4', '5'), fc.nat(9));
    fc.assert(
      fc.property(fc.nat(3), fc.array(look), (most, looks) => {
        const bound = new SeriesBound(most);
        const total = new Map<number, number>();
        let last = 0;
        for (const each of looks) {
          // Counters only grow.
          for (const [id, more] of Object.entries(each)) total.set(Number(id), (total.get(Number(id)) ?? 0) + more);
          const ids = Object.keys(each).map(Number);
          bound.update(ids);
          const { runs } = bound.others(ids.map((id) => usage(id, total.get(id) ?? 0)));
          assert.ok(ids.filter((id) => bound.hasOwn(id)).length <= most);
          assert.ok(runs >= last);
          last = runs;
        }
      }),
    );
  });
});
