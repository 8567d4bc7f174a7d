import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rereading } from './rereading.js';

/** Reads three parts, and notes each. */
function* threeParts(read: number[]): Generator<void> {
  for (const part of [1, 2, 3]) {
    read.push(part);
    yield;
  }
}

describe('a reading in parts', () => {
  test('goes on where it was, so many parts each time, until it finds the end', () => {
    const read: number[] = [];
    const reading = new Rereading(() => threeParts(read));
    assert.equal(reading.begin(), true);
    reading.goOn(2);
    assert.deepEqual(read, [1, 2]);
    reading.goOn(1);
    assert.deepEqual([read, reading.isUnderWay], [[1, 2, 3], true]);
    reading.goOn(2);
    assert.deepEqual([read, reading.isUnderWay], [[1, 2, 3], false]);
  });

  test('does not begin again while it is under way, nor before it has rested for longer than it took', () => {
    let now = 0;
    const reading = new Rereading(
      function* () {
        for (now += 5; now < 10; now += 5) yield;
      },
      () => now,
    );
    assert.equal(reading.begin(), true);
    assert.equal(reading.begin(), false);
    reading.goOn(2);
    assert.equal(now, 10);
    now = 49;
    assert.equal(reading.begin(), false);
    now = 50;
    assert.equal(reading.begin(), true);
  });

  test('without one there is nothing to go on with', () => {
    const reading = new Rereading(() => assert.fail('nobody has begun'));
    reading.goOn(2);
    assert.equal(reading.isUnderWay, false);
  });
});
