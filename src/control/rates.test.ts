import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Meter } from './rates.js';
import type { NamespaceUsage, ObjectUsage, Sample } from './usage.js';

const web: NamespaceUsage = {
  id: 1,
  path: 'web',
  name: 'web',
  level: 1,
  parent: 0,
  ownerUid: 0,
  tracing: 'host',
  keep: false,
  tasks: 1,
  orphaned: false,
  containers: [],
  objects: { map: 0, prog: 1, link: 0, btf: 0 },
  memory: 4096,
  runs: 0,
  runTime: 0,
  calls: 0,
  refused: 0,
};
const program: ObjectUsage = {
  kind: 'prog',
  hostId: 9,
  namespace: 1,
  id: 1,
  name: 'p',
  type: 'xdp',
  creator: null,
  memory: 4096,
  runs: 0,
  runTime: 0,
};
const sample = (seconds: number, namespace: Partial<NamespaceUsage>, object: Partial<ObjectUsage>): Sample => {
  return {
    time: '2026-01-02T03:04:05.678Z',
    seconds,
    counting: true,
    namespaces: [{ ...web, ...namespace }],
    objects: [{ ...program, ...object }],
  };
};

describe('the rates between two samples', () => {
  test('are per second, CPU in percent of one, the average in ns', () => {
    const meter = new Meter();
    assert.equal(meter.measure(sample(10, {}, { runs: 1000, runTime: 1 })).hasRates, false);
    const now = meter.measure(sample(12, { runs: 4000, runTime: 0.004, calls: 6 }, { runs: 5000, runTime: 1.5 }));
    assert.ok(now.hasRates);
    assert.deepEqual(now.ofNamespace(1), { cpu: 0.2, runs: 2000, averageNs: 1000, calls: 3 });
    assert.deepEqual(now.ofObject(program), { cpu: 25, runs: 2000, averageNs: 125_000, calls: 0 });
  });

  test('count all of what is new, and of counters that began anew', () => {
    const meter = new Meter();
    meter.measure(sample(1, { runs: 100 }, {}));
    const now = meter.measure(sample(2, { runs: 30 }, { hostId: 10, runs: 7 }));
    assert.equal(now.ofNamespace(1).runs, 30);
    assert.equal(now.ofObject({ kind: 'prog', hostId: 10 }).runs, 7);
    assert.equal(now.ofObject({ kind: 'prog', hostId: 9 }).runs, 0);
  });
});
