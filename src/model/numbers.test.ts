import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hostId, nsId } from './ids.js';
import { Numbers } from './numbers.js';

/** The same thing told without any cleverness: a list of pairs, looked through each time. */
class NaiveNumbers {
  pairs: Array<{ id: number; host: number }> = [];

  add(id: number, host: number): void {
    if (!this.pairs.some((pair) => pair.id === id)) this.pairs.push({ id, host });
  }

  remove(id: number): void {
    this.pairs = this.pairs.filter((pair) => pair.id !== id);
  }

  next(start: number): { id: number; host: number } | undefined {
    return this.pairs.filter(({ id }) => id > start).sort((a, b) => a.id - b.id)[0];
  }
}

const INT_MAX = 0x7fffffff;
/** Few values, so that they meet; and the two ends of the number space, as around the wrap. */
const id = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: INT_MAX - 4, max: INT_MAX - 1 }));

describe('a number space', () => {
  test('holds what was added and not removed, whatever the order of the ids', () => {
    const steps = fc.array(fc.record({ id, isRemoval: fc.boolean() }), { maxLength: 60, size: 'max' });
    fc.assert(
      fc.property(steps, (wanted) => {
        const numbers = new Numbers();
        const naive = new NaiveNumbers();
        wanted.forEach(({ id: number, isRemoval }, i) => {
          const host = 1000 + i;
          if (isRemoval) numbers.remove(nsId(number));
          else numbers.add(nsId(number), hostId(host));
          if (isRemoval) naive.remove(number);
          else naive.add(number, host);
        });
        assert.equal(numbers.size, naive.pairs.length);
        for (const { id: number, host } of naive.pairs) {
          assert.equal(numbers.hostOf(nsId(number)), host);
          assert.equal(numbers.idOf(hostId(host)), number);
        }
        for (const start of [0, ...wanted.map((step) => step.id), INT_MAX - 1]) {
          assert.deepEqual(numbers.next(start), naive.next(start));
        }
      }),
    );
  });

  test('of which most have been removed, from whichever end, finds those that are left', () => {
    const all = Array.from({ length: 1000 }, (_, i) => i + 1);
    const left = [150, 151, 700, 1000];
    for (const order of [all, [...all].reverse()]) {
      for (const isAsked of [true, false]) {
        const numbers = new Numbers();
        for (const number of all) numbers.add(nsId(number), hostId(number));
        for (const number of order) {
          if (!left.includes(number)) numbers.remove(nsId(number));
          if (isAsked && number % 7 === 0) assert.notEqual(numbers.next(0), undefined);
        }
        numbers.add(nsId(149), hostId(5000)); // removed before
        const listed: number[] = [];
        for (let next = numbers.next(0); next; next = numbers.next(next.id)) listed.push(next.id);
        assert.deepEqual(listed, [149, ...left]);
        assert.equal(numbers.size, 5);
      }
    }
  });

  test('after the wrap lists the new low ids before the old high ones', () => {
    const numbers = new Numbers();
    for (const [number, host] of [
      [INT_MAX - 2, 7],
      [INT_MAX - 1, 8],
      [1, 9],
      [2, 10],
    ] as const) {
      numbers.add(nsId(number), hostId(host));
    }
    const listed: number[] = [];
    for (let next = numbers.next(0); next; next = numbers.next(next.id)) listed.push(next.host);
    assert.deepEqual(listed, [9, 10, 7, 8]);
  });

  test('a start above every id finds nothing, even one that no id can have', () => {
    const numbers = new Numbers();
    numbers.add(nsId(5), hostId(50));
    assert.equal(numbers.next(5), undefined);
    assert.equal(numbers.next(0xffffffff), undefined);
  });
});
