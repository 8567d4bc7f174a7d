import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Ledger, type ProgramReading } from './ledger.js';

const program = (hostId: number, runs: number, loadTimeNs = 1, namespace = 1): ProgramReading => {
  return { hostId, namespace, loadTimeNs, runs, runTimeNs: runs * 10 };
};
const both = new Set([1, 2]);

describe('a ledger', () => {
  test('does not count what ran before the first look', () => {
    const ledger = new Ledger();
    ledger.take([program(5, 100)], both);
    assert.deepEqual(ledger.of(1), { runs: 0, runTimeNs: 0 });
    ledger.take([program(5, 103)], both);
    assert.deepEqual(ledger.of(1), { runs: 3, runTimeNs: 30 });
  });

  test('counts all of a program that came later, also under the id of one that went', () => {
    const ledger = new Ledger();
    ledger.take([program(5, 100)], both);
    ledger.take([program(5, 40, 2)], both);
    assert.equal(ledger.of(1).runs, 40);
  });

  test('keeps what an ended program ran, until the namespace ends', () => {
    const ledger = new Ledger();
    ledger.take([], both);
    ledger.take([program(5, 7)], both);
    ledger.take([], both);
    assert.equal(ledger.of(1).runs, 7);
    ledger.take([], new Set([2]));
    assert.equal(ledger.of(1).runs, 0);
  });

  test('books on the owner: what a container takes over counts for it from then on', () => {
    const ledger = new Ledger();
    ledger.take([program(5, 0)], both);
    ledger.take([program(5, 3)], both);
    ledger.take([program(5, 5, 1, 2)], both);
    assert.deepEqual([ledger.of(1).runs, ledger.of(2).runs], [3, 2]);
  });

  test('never falls, and adds up to what every program ran since the first look', () => {
    const life = fc.record({ namespace: fc.constantFrom(1, 2), from: fc.nat(9), looks: fc.nat(9), step: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 12 }), (lives) => {
        const ledger = new Ledger();
        const last = new Map([
          [1, 0],
          [2, 0],
        ]);
        const expected = new Map(last);
        for (let look = 0; look < 20; look++) {
          const alive = lives.flatMap(({ namespace, from, looks, step }, i) => {
            if (look < from || look > from + looks) return [];
            const isCounted = look > 0 && !(look === from && from === 0);
            if (isCounted) expected.set(namespace, (expected.get(namespace) ?? 0) + step);
            return [program(i + 1, (look - from + 1) * step, i + 1, namespace)];
          });
          ledger.take(alive, both);
          for (const id of both) {
            assert.ok(ledger.of(id).runs >= (last.get(id) ?? 0));
            assert.equal(ledger.of(id).runs, expected.get(id));
            last.set(id, ledger.of(id).runs);
          }
        }
      }),
    );
  });
});
