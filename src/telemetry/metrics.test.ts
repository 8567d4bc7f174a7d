import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NamespaceUsage, ObjectUsage } from '../control/usage.js';
import { registryOf } from './metrics.js';
import { Statistics } from './statistics.js';

const nginx = { id: 'c', pod: 'www', podNamespace: 'default', container: 'nginx' };

const usage = (id: number, path: string): NamespaceUsage => ({
  id,
  path,
  name: path,
  level: 1,
  parent: 0,
  ownerUid: 0,
  tracing: 'host',
  keep: false,
  tasks: 1,
  orphaned: false,
  containers: path === 'web' ? [nginx] : [],
  objects: { map: 0, prog: 0, link: 0, btf: 0 },
  memory: 4096,
  runs: 100,
  runTime: 0.5,
  calls: 0,
  refused: 0,
});
const program: ObjectUsage = {
  kind: 'prog',
  hostId: 9,
  namespace: 1,
  id: 1,
  name: 'p',
  type: 'xdp',
  creator: null,
  memory: 4096,
  runs: 7,
  runTime: 0.1,
};

describe('metrics', () => {
  const statistics = new Statistics();
  statistics.count('MAP_GET_NEXT_ID', 'ok', 0.00004, 7);
  statistics.count('MAP_GET_NEXT_ID', 'ok', 0.0009, 7);
  statistics.count('MAP_GET_NEXT_ID', 'ENOENT', 7, 7);
  statistics.count('OBJ_GET', 'EPERM', 0.00004, 7);
  statistics.count('clone3', 'continue', 0.00004, 7);
  const text = registryOf(3, () => ({
    statistics,
    namespaces: 3,
    lostContainers: 1,
    objects: () => [
      { kind: 'map', id: 1, namespace: 'web', containers: [nginx], count: 4 },
      { kind: 'map', id: 2, namespace: 'pod', containers: [nginx, { ...nginx, id: 'd', container: 'log' }], count: 2 },
      { kind: 'prog', id: 3, namespace: 'build', containers: [], count: 1 },
      { kind: 'prog', id: 4, namespace: 'more', containers: [], count: 1 },
    ],
    recorder: {
      ringOverflows: 1,
      lostObjects: 2,
      lostTasks: 3,
      lostUnknown: 0,
      refused: 4,
      caughtUp: 0,
      unseen: 0,
      missedCalls: 5,
      missedForks: 6,
    },
    usage: async () => ({
      counting: true,
      namespaces: [usage(0, 'init'), usage(1, 'web'), usage(2, 'pod'), usage(3, 'build'), usage(4, 'more')],
      programs: [{ ...program, name: 'a"b' }],
    }),
    budgets: () => [
      {
        namespace: 1,
        path: 'web',
        objects: 6,
        maxObjects: 7,
        numbers: 8,
        maxNumbers: 9,
        namespaces: 10,
        maxNamespaces: 11,
        programMemory: 13,
        maxProgramMemory: 14,
        unowned: 12,
      },
    ],
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
      'objects of the namespaces beyond the bound: their sum',
      'bpfns_objects{kind="prog",namespace="(other)",pod="",pod_namespace="",container=""} 2',
    ],
    [
      'run time by owner, in seconds',
      'bpfns_program_run_seconds_total{namespace="web",pod="www",pod_namespace="default",container="nginx"} 0.5',
    ],
    ['runs by owner', 'bpfns_program_runs_total{namespace="init",pod="",pod_namespace="",container=""} 100'],
    [
      'memory by owner',
      'bpfns_object_memory_bytes{namespace="web",pod="www",pod_namespace="default",container="nginx"} 4096',
    ],
    [
      'run time of the namespaces beyond the bound: their sum',
      'bpfns_program_run_seconds_total{namespace="(other)",pod="",pod_namespace="",container=""} 1',
    ],
    [
      'memory of the namespaces beyond the bound: their sum',
      'bpfns_object_memory_bytes{namespace="(other)",pod="",pod_namespace="",container=""} 8192',
    ],
    [
      'programs one by one, and names are escaped',
      'bpfns_each_program_runs_total{namespace="web",id="9",name="a\\"b",type="xdp"} 7',
    ],
    ['whether runs are counted', 'bpfns_run_time_counted 1'],
    ['objects beyond a budget', 'bpfns_unowned_objects_total{namespace="web"} 12'],
    ['what is used of a budget', 'bpfns_budget_used{namespace="web",resource="objects"} 6'],
    ['the budget', 'bpfns_budget_limit{namespace="web",resource="namespaces"} 11'],
    ['overflows of the ring', 'bpfns_recorder_overflows_total 1'],
    ['lost objects', 'bpfns_recorder_lost_objects_total 2'],
    ['lost tasks', 'bpfns_recorder_lost_tasks_total 3'],
    ['calls that the hooks missed', 'bpfns_recorder_missed_calls_total 5'],
    ['forks that the hooks missed', 'bpfns_recorder_missed_forks_total 6'],
    ['refused fds', 'bpfns_recorder_refused_fds_total 4'],
  ];
  for (const [what, line] of lines) {
    test(`tell of ${what}`, async () => {
      assert.ok((await text).split('\n').includes(line), await text);
    });
  }
});
