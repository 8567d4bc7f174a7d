/**
 * Objects whose loader has exited are still listed, in the namespace and on the host, with owner,
 * creator and what keeps them alive.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { cgroup2Mount } from '../../src/host/cgroups.js';
import {
  type Guest,
  guestPath,
  type Listed,
  leavesNothingBehind,
  listed,
  namespaceNames,
  pinDirectory,
  run,
  skipReason,
  startInNamespace,
  until,
  who,
} from '../support/host.js';

interface Orphan {
  /** The guest's name for the object. */
  readonly name: string;
  readonly what: string;
  readonly kind: 'map' | 'prog';
  readonly keptAliveBy: readonly RegExp[];
  /** It ends with the last process of the namespace. */
  readonly diesWithProcess?: true;
}

const cgroup = `${cgroup2Mount()}/bpfns-test-${process.pid}`;
const inCgroup = new RegExp(`^an attachment to cgroup /bpfns-test-${process.pid} \\(cgroup_inet_egress\\)$`);

const orphans: readonly Orphan[] = [
  { name: 'pinned-map', what: 'a pinned map', kind: 'map', keptAliveBy: [/^the pin \/.*\/pinned-map$/] },
  { name: 'pinned-prog', what: 'a pinned program', kind: 'prog', keptAliveBy: [/^the pin \/.*\/pinned-prog$/] },
  {
    name: 'link-pinned',
    what: 'a program whose link is pinned',
    kind: 'prog',
    keptAliveBy: [/^link \d+ \(cgroup\)$/],
  },
  { name: 'attached', what: 'a program attached to a cgroup', kind: 'prog', keptAliveBy: [inCgroup] },
  {
    name: 'unpinned-while-attached',
    what: 'a program pinned, attached, and unpinned again',
    kind: 'prog',
    keptAliveBy: [inCgroup],
  },
  {
    name: 'socket',
    what: 'a program attached by SO_ATTACH_REUSEPORT_EBPF',
    kind: 'prog',
    keptAliveBy: [], // the kernel does not show it
    diesWithProcess: true,
  },
  {
    name: 'used-by-prog',
    what: 'a map that only a program refers to',
    kind: 'map',
    keptAliveBy: [/^prog \d+ 'user' \(cgroup_skb\)$/],
  },
  {
    name: 'inner-map',
    what: 'a map in a map',
    kind: 'map',
    keptAliveBy: [/^an element of map \d+ \(array_of_maps\)$/],
  },
  {
    name: 'tail-call',
    what: 'a program in a program array',
    kind: 'prog',
    keptAliveBy: [/^an element of map \d+ \(prog_array\)$/],
  },
  {
    name: 'device-map',
    what: 'a program of a device in a map',
    kind: 'prog',
    keptAliveBy: [/^an element of map \d+ \(devmap_hash\)$/],
  },
  {
    name: 'cpu-map',
    what: 'a program of a CPU in a map',
    kind: 'prog',
    keptAliveBy: [/^an element of map \d+ \(cpumap\)$/],
  },
];

function identity(object: Listed | undefined): unknown {
  return object && [object.hostId, object.id, object.namespace, object.creator?.pid, object.creator?.comm];
}

describe('objects whose loader has exited', { skip: skipReason }, () => {
  before(() => {
    mkdirSync(cgroup);
  });
  after(() => {
    rmdirSync(cgroup);
  });
  leavesNothingBehind();

  for (const orphan of orphans) {
    describe(orphan.what, () => {
      let guest: Guest;
      const pin = `${pinDirectory()}/${orphan.name}`;
      const found = (): Listed | undefined => listed(orphan.kind, orphan.name).find(({ name }) => name === 'orphan');

      before(async () => {
        guest = await startInNamespace(
          `${guestPath('orphans')} ${orphan.name} ${pin} ${cgroup}
           bpftool -j ${orphan.kind} list
           echo ready
           read -r _ || true`,
          ['--name', orphan.name],
        );
      });
      after(async () => {
        await guest.end();
        run(['rm', '-f', pin]);
        run(['bpftool', 'cgroup', 'detach', cgroup, 'egress', 'name', 'orphan']);
      });

      test('is listed in its namespace, to another process', () => {
        const inside: ReadonlyArray<{ id: number; name: string }> = JSON.parse(guest.output().split('\n')[0] ?? '');
        const { id } = inside.find(({ name }) => name === 'orphan') ?? assert.fail(guest.output());
        assert.equal(id, found()?.id);
      });

      test('is listed on the host, with owner and creator', () => {
        const { namespace, creator, users } = found() ?? assert.fail('not listed');
        assert.equal(namespace.name, orphan.name);
        assert.deepEqual([creator?.comm, creator?.uid], ['orphans', 65534]);
        assert.ok(!existsSync(`/proc/${creator?.pid}`), 'the loader has exited');
        assert.deepEqual(users, []);
      });

      test("'bpfns who' tells what keeps it alive", () => {
        const { keptAliveBy, namespace } = who(orphan.kind, found()?.hostId ?? 0);
        assert.equal(namespace.name, orphan.name);
        assert.equal(keptAliveBy.length, orphan.keptAliveBy.length, keptAliveBy.join('\n'));
        orphan.keptAliveBy.forEach((reason, i) => {
          assert.match(keptAliveBy[i] ?? '', reason);
        });
      });

      test(
        orphan.diesWithProcess
          ? 'ends with the last process that holds the socket, and the namespace with it'
          : 'keeps its owner when the last process of the namespace is gone',
        async () => {
          const before = found();
          await guest.end();
          if (orphan.diesWithProcess) {
            await until(() => !namespaceNames().includes(orphan.name), 'the namespace has not ended');
          } else {
            assert.deepEqual(identity(found()), identity(before));
          }
        },
      );
    });
  }
});
