import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { registryOf } from './metrics.js';
import { Statistics } from './statistics.js';

const nginx = { id: 'c', pod: 'www', podNamespace: 'default', container: 'nginx' };

describe('metrics', () => {
  const statistics = new Statistics();
  statistics.count('MAP_GET_NEXT_ID', 'ok', 0.00004);
  statistics.count('MAP_GET_NEXT_ID', 'ok', 0.0009);
  statistics.count('MAP_GET_NEXT_ID', 'ENOENT', 7);
  statistics.count('OBJ_GET', 'EPERM', 0.00004);
  statistics.count('clone3', 'continue', 0.00004);
  const text = registryOf(() => ({
    statistics,
    namespaces: 3,
    objects: () => [
      { kind: 'map', namespace: 'web', containers: [nginx], count: 4 },
      { kind: 'map', namespace: 'pod', containers: [nginx, { ...nginx, id: 'd', container: 'log' }], count: 2 },
      { kind: 'prog', namespace: 'build', containers: [], count: 1 },
    ],
    recorder: { ringOverflows: 1, lostObjects: 2, lostTasks: 3, refused: 4 },
  })).metrics();

  const lines: ReadonlyArray<readonly [what: string, line: string]> = [
    ['calls by command and result', 'bpfns_trapped_calls_total{command="MAP_GET_NEXT_ID",result="ok"} 2'],
    ['errors by name', 'bpfns_trapped_calls_total{command="MAP_GET_NEXT_ID",result="ENOENT"} 1'],
    ['calls left to the kernel', 'bpfns_trapped_calls_total{command="clone3",result="continue"} 1'],
    ['refused calls', 'bpfns_refused_calls_total{command="OBJ_GET"} 1'],
    [
      'latencies: up to each bound, in seconds',
      'bpfns_trapped_call_seconds_bucket{le="0.001",command="MAP_GET_NEXT_ID"} 2',
    ],
    ['latencies: all', 'bpfns_trapped_call_seconds_bucket{le="+Inf",command="MAP_GET_NEXT_ID"} 3'],
    ['latencies: their number', 'bpfns_trapped_call_seconds_count{command="MAP_GET_NEXT_ID"} 3'],
    ['namespaces', 'bpfns_namespaces 3'],
    [
      'objects by kind, namespace and container',
      'bpfns_objects{kind="map",namespace="web",pod="www",pod_namespace="default",container="nginx"} 4',
    ],
    [
      'objects of a namespace with several containers: what these have in common',
      'bpfns_objects{kind="map",namespace="pod",pod="www",pod_namespace="default",container=""} 2',
    ],
    [
      'objects of a namespace without a container',
      'bpfns_objects{kind="prog",namespace="build",pod="",pod_namespace="",container=""} 1',
    ],
    ['overflows of the ring', 'bpfns_recorder_overflows_total 1'],
    ['lost objects', 'bpfns_recorder_lost_objects_total 2'],
    ['lost tasks', 'bpfns_recorder_lost_tasks_total 3'],
    ['refused fds', 'bpfns_recorder_refused_fds_total 4'],
  ];
  for (const [what, line] of lines) {
    test(`tell of ${what}`, async () => {
      assert.ok((await text).split('\n').includes(line), await text);
    });
  }
});
