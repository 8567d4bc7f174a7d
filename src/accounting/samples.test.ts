import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ObjectUsage, type Sample, SampleReader, type WatchLine } from '../control/usage.js';
import { Samples } from './samples.js';

const object = (hostId: number, change: Partial<ObjectUsage> = {}): ObjectUsage => {
  const rest = { namespace: 1, id: hostId, name: 'm', type: 'hash', creator: null, memory: 0, runs: 0, runTime: 0 };
  return { kind: 'prog', hostId, ...rest, ...change };
};

function parse(text: string): WatchLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as WatchLine);
}

function take(reader: SampleReader, text: string): Sample | undefined {
  return parse(text)
    .map((line) => reader.take(line))
    .at(-1);
}

describe('the lines of a sample', () => {
  const look = (objects: readonly ObjectUsage[]): Parameters<Samples['lines']>[2] => {
    return { counting: true, namespaces: [], objects };
  };

  test('tell of an object once, then of its counts as they change, then of its end', () => {
    const samples = new Samples();
    const [first, counted] = [object(5), object(5, { runs: 3 })];
    const items = (objects: readonly ObjectUsage[]): string[] =>
      parse(samples.lines(1, true, look(objects))).map(({ item }) => item);
    assert.deepEqual(items([first]), ['sample', 'object', 'end']);
    assert.deepEqual(items([first]), ['sample', 'end']);
    assert.deepEqual(items([counted]), ['sample', 'counts', 'end']);
    assert.deepEqual(items([]), ['sample', 'gone', 'end']);
  });

  test('tell nobody of objects who did not ask for them', () => {
    assert.deepEqual(
      parse(new Samples().lines(1, false, look([object(5)]))).map(({ item }) => item),
      ['sample', 'end'],
    );
  });

  test('put together give the objects there are, whatever came, changed and went', () => {
    const state = fc.dictionary(
      fc.constantFrom('1', '2', '3', '4'),
      fc.record({ runs: fc.nat(3), namespace: fc.nat(2), memory: fc.nat(2) }),
    );
    fc.assert(
      fc.property(fc.array(state, { maxLength: 8 }), (states) => {
        const samples = new Samples();
        const reader = new SampleReader();
        for (const each of states) {
          const objects = Object.entries(each).map(([id, change]) => object(Number(id), change));
          const got = take(reader, samples.lines(1, true, look(objects)));
          const byId = (all: readonly ObjectUsage[]): ObjectUsage[] => [...all].sort((a, b) => a.hostId - b.hostId);
          assert.deepEqual(byId(got?.objects ?? []), byId(objects));
        }
      }),
    );
  });
});
