import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import type { Kind } from '../model/ids.js';
import { bpf_map_type } from '../sys/kernel.gen.js';
import { typeName } from './type-names.js';

describe('the name of a type', () => {
  // Numbers of include/uapi/linux/bpf.h.
  const known: ReadonlyArray<readonly [Kind, number, string]> = [
    ['map', 1, 'hash'],
    ['map', 12, 'array_of_maps'],
    ['map', 27, 'ringbuf'],
    ['map', 30, 'bloom_filter'],
    ['prog', 1, 'socket_filter'],
    ['prog', 3, 'sched_cls'],
    ['prog', 6, 'xdp'],
    ['prog', 31, 'syscall'],
    ['link', 1, 'raw_tracepoint'],
    ['link', 7, 'perf_event'],
    ['link', 8, 'kprobe_multi'],
  ];
  for (const [kind, number, name] of known) {
    test(`of ${kind} type ${number} is ${name}`, () => assert.equal(typeName(kind, number), name));
  }

  test('that was given a second name is the first one, without the mark', () => {
    assert.equal(typeName('map', 19), 'cgroup_storage');
    assert.equal(typeName('map', 21), 'percpu_cgroup_storage');
  });

  test('that is newer than the table is its number', () => {
    assert.equal(typeName('prog', 4000), 'type 4000');
    assert.equal(typeName('btf', 1), 'type 1');
  });

  test('of a map is the one bpftool knows', () => {
    const { stderr } = spawnSync('bpftool', ['map', 'help'], { encoding: 'utf8' });
    const listed = /TYPE := \{([^}]+)\}/.exec(stderr)?.[1]?.match(/\w+/g) ?? [];
    const ours = new Set(Object.values(bpf_map_type).map((type) => typeName('map', type)));
    assert.ok(listed.length > 20, `bpftool lists its types: ${stderr}`);
    assert.deepEqual(
      listed.filter((name) => !ours.has(name)),
      [],
    );
  });
});
