/** Two namespaces side by side, and the host above them. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { kinds } from '../../src/model/ids.js';
import { hostIds } from '../../src/sys/bpf.js';
import {
  asContainerUser,
  type Guest,
  guestPath,
  leavesNothingBehind,
  listed,
  run,
  skipReason,
  startInNamespace,
} from '../support/host.js';

const names = ['left', 'right'] as const;

/** Two maps, a program, a link and a BTF, and on every line `sweep N` read the ids found up to N. */
const script = `exec ${guestPath('objects')} sh -c '
  echo ready
  while read -r highest; do ${guestPath('sweep')} $highest; echo swept; done'`;

describe('two namespaces and the host', { skip: skipReason }, () => {
  leavesNothingBehind();
  const guests = new Map<string, Guest>();

  before(async () => {
    for (const name of names) guests.set(name, await startInNamespace(script, ['--name', name]));
  });

  for (const name of names) {
    test(`ids in '${name}' start at 1`, () => {
      for (const [kind, ids] of [
        ['map', [1, 2]],
        ['prog', [1]],
        ['link', [1]],
      ] as const) {
        assert.deepEqual(
          listed(kind, name).map(({ id }) => id),
          ids,
        );
      }
    });

    test(`in '${name}' no id resolves but its own, up to the host's highest`, async () => {
      const highest = Math.max(...kinds.flatMap((kind) => [...hostIds(kind)]));
      const others = kinds.flatMap((kind) => listed(kind, name === 'left' ? 'right' : 'left'));
      assert.ok(others.length === 5 && others.every(({ hostId }) => hostId <= highest));

      const found = await guests.get(name)?.ask(String(highest + 16), 'swept');
      const [btf] = listed('btf', name);
      const own = ['map 1', 'map 2', 'prog 1', 'link 1', `btf ${btf?.id}`];
      assert.deepEqual(found?.sort(), own.flatMap((object) => [`fd ${object}`, `next ${object}`]).sort());
    });
  }

  for (const kind of kinds) {
    test(`root's own bpftool lists every ${kind} of both under the host's ids`, () => {
      const { stdout } = run(['bpftool', '-j', kind, 'list']);
      const there = new Set(JSON.parse(stdout).map(({ id }: { id: number }) => id));
      const ours = names.flatMap((name) => listed(kind, name));
      assert.equal(ours.length, kind === 'map' ? 4 : 2);
      for (const { hostId } of ours) assert.ok(there.has(hostId));
    });

    test(`no two ${kind}s share a host id, and each belongs to the namespace that made it`, () => {
      const ours = names.flatMap((name) => listed(kind, name));
      assert.equal(new Set(ours.map(({ hostId }) => hostId)).size, ours.length);
      for (const name of names) {
        for (const { namespace, creator } of listed(kind, name)) {
          assert.equal(namespace.name, name);
          assert.deepEqual([creator?.comm, creator?.uid], ['objects', 65534]);
        }
      }
    });
  }

  test('natively, without a namespace, the same user resolves nothing', () => {
    const { stdout } = run([...asContainerUser, guestPath('sweep'), '1']);
    assert.match(stdout, /^fd map 0: Operation not permitted\nnext map 0: Operation not permitted\n/);
    assert.doesNotMatch(stdout, /^(fd|next) \w+ \d+$/m);
  });
});
