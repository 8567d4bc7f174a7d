/** The host id of an object as its second name: what programs learn of ids natively opens the right object, or none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { hostIds } from '../../src/sys/bpf.js';
import { lacking } from '../support/features.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  type Outcome,
  pinDirectory,
  run,
  skipReason,
} from '../support/host.js';

const TRACEPOINT = '/sys/kernel/tracing/events/sched/sched_process_exit/id';

/** A guest in a network namespace of its own, which has only lo. Not the agent: it would keep it. */
function inNetworkNamespace(...command: readonly string[]): Outcome {
  return bpfns(['run', '--', 'unshare', '-n', ...asContainerUser, ...command]);
}

describe('a host id that a guest learns', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('opens the object, under its id of the namespace', () => {
    const tracepoint = readFileSync(TRACEPOINT, 'latin1').trim();
    const { stdout, stderr } = inNetworkNamespace(guestPath('aliases'), tracepoint);
    const opened = [...stdout.matchAll(/^([\w ]+): id (\d+), shown (\d+), opened (\d+)$/gm)];
    assert.deepEqual(
      opened.map(([, what]) => what),
      ['map of maps', 'program array', 'devmap', 'devmap_hash', 'cpumap', 'perf event'],
      stdout + stderr,
    );
    for (const [line, , id, shown, own] of opened) {
      assert.equal(own, id, line);
      assert.ok(Number(shown) > Number(id), line);
    }
    assert.match(stdout, /^iterating: 3 of 3$/m);
    if (!lacking('tcx links')) assert.match(stdout, /^relative: in order$/m);
  });

  test("of the host's or another namespace's object opens nothing", () => {
    const host = ['bpftool', 'map', 'create', `${pinDirectory()}/host`];
    run([...host, ...'type array key 4 value 4 entries 1 name host'.split(' ')]);
    const foreign = Math.max(...hostIds('map'));
    const open = `${guestPath('aliases')} open ${foreign}`;
    assert.match(inNamespace(`${open}; sleep 0.1`).stdout, /^map: ENOENT$/m);
    const nested = `bpftool map create $P/nested type array key 4 value 4 entries 1 name nested; ${bpfnsPath} run -- ${open}`;
    assert.match(inNamespace(nested).stdout, /^map: ENOENT$/m);
    assert.equal(bpfns(['run', '--', guestPath('aliases'), 'open', '0']).stdout, 'map: ENOENT\nprog: ENOENT\n');
  });

  test("is what 'bpftool map dump' prints of a map of maps, and 'map show id' takes it", () => {
    const create = 'type array key 4 value 4 entries 1';
    // bpftool 7.1 prints the id's bytes, later ones "inner_map_id".
    const { stdout, stderr } = inNamespace(`
      bpftool map create $P/inner ${create} name inner
      bpftool map create $P/outer type array_of_maps key 4 value 4 entries 1 name outer inner_map pinned $P/inner
      bpftool map update pinned $P/outer key 0 0 0 0 value pinned $P/inner
      set -- $(bpftool map dump id 2 | sed -n 's/.*value: \\(.. .. .. ..\\).*/\\1/p')
      id=$(bpftool map dump id 2 | sed -n 's/.*inner_map_id"*: *\\([0-9]*\\).*/\\1/p' | head -1)
      id=\${id:-$((0x$4$3$2$1))}
      test "$id" != 1
      bpftool map show id $id
      rm $P/inner $P/outer`);
    assert.match(stdout, /^1: array {2}name inner /m, stdout + stderr);
  });
});
