/** Two namespaces side by side, and the host above them. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type Kind, kinds } from '../../src/model/ids.js';
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

/**
 * Creates two maps, a program, a link and a BTF. On each line it reads the arguments of `sweep`,
 * and prints the ids that it finds.
 */
const script = `exec ${guestPath('objects')} sh -c '
  echo ready
  while read -r ranges; do ${guestPath('sweep')} $ranges; echo swept; done'`;

/**
 * Every id up to this one is tried. Above it, on a host that has created many objects, only the ids
 * around live ones are.
 */
const SWEEP_ALL = 5000;

/** Up to a little above the host's highest id: there is nothing beyond. */
function sweepAll(): number {
  return Math.min(SWEEP_ALL, Math.max(...kinds.flatMap((kind) => [...hostIds(kind)])) + 20);
}

/** From a little below the first to a little above the last live id that is not in the sweep already. */
function idsOnHost(kind: Kind): string {
  const ids = [...hostIds(kind)].filter((id) => id > SWEEP_ALL);
  return ids.length === 0
    ? '0-0'
    : `${Math.max(Math.min(...ids), Math.max(...ids) - SWEEP_ALL) - 16}-${Math.max(...ids) + 16}`;
}

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

    test(`in '${name}' no id resolves but those of its own objects, up to the host's highest`, async () => {
      const others = kinds.flatMap((kind) => listed(kind, name === 'left' ? 'right' : 'left'));
      assert.equal(others.length, 5);

      const found = await guests.get(name)?.ask([sweepAll(), ...kinds.map(idsOnHost)].join(' '), 'swept');
      // Its own objects' host ids are second names of them.
      const own = kinds.flatMap((kind) =>
        listed(kind, name).flatMap(({ id, hostId }) => [
          `fd ${kind} ${id}`,
          `next ${kind} ${id}`,
          `fd ${kind} ${hostId}`,
        ]),
      );
      assert.deepEqual(found?.sort(), [...new Set(own)].sort());
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
