import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_LINE } from '../control/protocol.js';
import { shortened } from './shortened.js';

const object = { name: 'a', pins: ['/sys/fs/bpf/a'], users: [{ pid: 1, comm: 'init' }], creator: null };

describe('what goes into a line', () => {
  test('is whole if it is short', () => {
    assert.deepEqual(shortened(object), object);
  });

  test('shows where a text was cut', () => {
    const { pins, isCut } = shortened({ ...object, pins: ['x'.repeat(301)] });
    assert.deepEqual([pins, isCut], [[`${'x'.repeat(300)}…`], true]);
  });

  test('says that a list was cut', () => {
    const { pins, isCut } = shortened({ ...object, pins: Array.from({ length: 201 }, String) });
    assert.deepEqual([pins.length, isCut], [200, true]);
  });

  test('fits, however many pins there are, and whatever they are called', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 4096 });
    const many = fc.integer({ min: 0, max: 3000 });
    fc.assert(
      fc.property(name, many, (text, count) => {
        const line = JSON.stringify(shortened({ ...object, pins: Array.from({ length: count }, () => text) }));
        assert.ok(Buffer.byteLength(line) < MAX_LINE);
      }),
      { numRuns: 30 },
    );
  });
});
