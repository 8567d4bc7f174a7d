/**
 * The limitations of docs/limitations.md that can be demonstrated, as they are today. If a test
 * fails because a hole was closed, change the document.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { hostIds } from '../../src/sys/bpf.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  limited,
  pinDirectory,
  root,
  run,
  skipReason,
  startInNamespace,
} from '../support/host.js';

/** Runs one part of the guest in a namespace. @returns the numbers that it prints */
function seenByGuest(hole: string): number[] {
  const { status, stdout, stderr } = bpfns(['run', '--', ...asContainerUser, guestPath('holes'), hole]);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  return stdout.trim().split('\n').map(Number);
}

/** The highest host id of a kind now. Later objects have higher ids. */
function newest(kind: 'map' | 'prog'): number {
  return Math.max(0, ...hostIds(kind));
}

describe('host ids that a guest gets to see', { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const [hole, kind, place] of [
    ['fdinfo', 'map', "a map's /proc/PID/fdinfo"],
    ['map-in-map', 'map', 'looking up a map of maps'],
    ['prog-array', 'prog', 'looking up a program array'],
  ] as const) {
    test(`${place} shows the host's id, not the namespace's`, () => {
      const before = newest(kind);
      const [own = 0, shown = 0] = seenByGuest(hole);
      // Not always 1: libbpf probes the kernel with objects of its own.
      assert.ok(own > 0 && own < 10, `in its namespace the ${kind} is ${own}`);
      assert.ok(shown > before, `${shown} is newer than the host's ${before}`);
    });
  }

  test("a guest's own bpf_map iterator meets the host's maps under the host's ids, which open nothing", () => {
    run([
      'bpftool',
      'map',
      'create',
      `${pinDirectory()}/host`,
      ...'type array key 4 value 4 entries 1 name host'.split(' '),
    ]);
    const host = newest('map');
    assert.ok(seenByGuest('map-iterator').includes(host));
    const { stderr } = inNamespace(`bpftool map show id ${host} || true`);
    assert.match(stderr, /No such file or directory/);
  });

  test('and of those that it can open by such an id all are its own, whatever other namespaces there are', async () => {
    const create = (name: string): string =>
      `bpftool map create $P/${name} type array key 4 value 4 entries 1 name ${name}`;
    const other = await startInNamespace(
      `for i in 1 2 3 4; do ${create('other$i')}; done; echo ready; read -r _ || true`,
    );
    const { stdout, stderr } = inNamespace(`
      for i in 1 2 3 4; do ${create('mine$i')}; done
      for id in $(${guestPath('holes')} map-iterator); do
        [ $id -le 4 ] || bpftool map show id $id 2>/dev/null || true
      done
      rm $P/mine*`);
    await other.end();
    const names = [...stdout.matchAll(/^(\d+): array {2}name (\w+)/gm)].map(([, id, name]) => `${id} ${name}`);
    assert.deepEqual(names, ['1 mine1', '2 mine2', '3 mine3', '4 mine4'], stderr);
  });
});

describe('what a guest with CAP_PERFMON observes', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('a tracing program sees processes outside the namespace', async () => {
    const command = [bpfnsPath, 'run', '--', ...asContainerUser, guestPath('holes'), 'tracing'];
    const guest = spawn('timeout', limited(120, command));
    const lines = createInterface({ input: guest.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'ready');
    run(['true']); // this process, which is in no namespace, forks
    guest.stdin.end('\n');
    const pids: number[] = [];
    for (let line = await lines.next(); !line.done; line = await lines.next()) pids.push(Number(line.value));
    if (guest.exitCode === null) await once(guest, 'exit');
    assert.ok(pids.includes(process.pid), `${process.pid} is among ${pids.join(' ')}`);
  });
});

test('docs/limitations.md names this file', () => {
  assert.match(readFileSync(`${root}docs/limitations.md`, 'utf8'), /test\/kernel\/limitations\.test\.ts/);
});
