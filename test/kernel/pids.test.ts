/** The `pids` of bpftool's listings: which process uses which object, from an iterator like bpftool's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kinds } from '../../src/model/ids.js';
import {
  bpfns,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  listed,
  type Outcome,
  run,
  skipReason,
  startInNamespace,
} from '../support/host.js';

/** `objects` and its child together know the user's pid and the iterator's output. */
function asking(kind: string): string {
  return `exec ${guestPath('objects')} sh -ec 'echo $PPID; ${guestPath('pid-iter')} ${kind}'`;
}

interface Answer {
  /** The pid of the process that has everything open, as the guest knows it. */
  readonly user: number;
  readonly records: ReadonlyArray<readonly [id: number, pid: number, comm: string]>;
}

function answerOf({ status, stdout, stderr }: Outcome): Answer {
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const [user, ...lines] = stdout.trimEnd().split('\n');
  const records = lines.map((line) => line.split(' ')).map(([id, pid, ...comm]) => [id, pid, comm.join(' ')] as const);
  return { user: Number(user), records: records.map(([id, pid, comm]) => [Number(id), Number(pid), comm]) };
}

describe('which process holds which object', { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const [kind, ids] of [
    ['map', [1, 2]],
    ['prog', [1]],
    ['link', [1]],
  ] as const) {
    test(`${kind}s: the right process, under the namespace's ids`, () => {
      const { user, records } = answerOf(inNamespace(asking(kind)));
      assert.deepEqual(
        records.filter(([, pid]) => pid === user),
        ids.map((id) => [id, user, 'objects']),
      );
    });
  }

  test('BTF: the right process, under an id that opens', () => {
    const { user, records } = answerOf(inNamespace(asking('btf')));
    const held = records.filter(([, pid]) => pid === user);
    assert.equal(held.length, 1);
    assert.ok((held[0]?.[0] ?? 0) > 0);
  });

  for (const kind of kinds) {
    test(`${kind}s: no process but the namespace's own`, async () => {
      const other = await startInNamespace(`exec ${guestPath('objects')} sh -c 'echo ready; read -r _ || true'`, [
        '--name',
        `other-${kind}`,
      ]);
      const foreign = new Set(listed(kind, `other-${kind}`).flatMap(({ users }) => users.map(({ pid }) => pid)));
      assert.ok(foreign.size > 0);
      const { user, records } = answerOf(inNamespace(asking(kind)));
      await other.end();
      for (const [, pid, comm] of records) {
        assert.ok(!foreign.has(pid));
        // The process of the iterator has its own objects open.
        assert.ok(pid === user || comm === 'pid-iter', `${pid} ${comm}`);
      }
    });
  }

  test("an iterator that the agent does not know prints host ids: own ones open, and nobody else's", async () => {
    const other = await startInNamespace(`exec ${guestPath('objects')} sh -c 'echo ready; read -r _ || true'`, [
      '--name',
      'other',
    ]);
    const foreign = listed('map', 'other').map(({ hostId }) => hostId);
    const { stdout, stderr } = inNamespace(`exec ${guestPath('objects')} sh -ec '
      echo "user $PPID"
      ${guestPath('own-iter')} map | grep " objects$" | sort -nu | while read -r id pid _; do
        echo "$id $pid $(bpftool map show id $id 2>&1 | head -1)"
      done'`);
    await other.end();
    const user = Number(/^user (\d+)$/m.exec(stdout)?.[1]);
    const rows = [...stdout.matchAll(/^(\d+) (\d+) (.*)$/gm)].map(([, id, pid, shown = '']) => {
      return { id: Number(id), pid: Number(pid), shown };
    });
    const own = rows.filter(({ pid }) => pid === user).map(({ shown }) => shown.split(':')[0]);
    assert.deepEqual(own, ['1', '2'], stdout + stderr);
    const others = rows.filter(({ pid }) => pid !== user);
    for (const { shown } of others) assert.match(shown, /^Error: get map by id \(\d+\): No such file or directory$/);
    for (const id of foreign)
      assert.ok(
        others.some((each) => each.id === id),
        `${id} was not printed`,
      );
  });

  test('in a pid namespace: pids as they are there', () => {
    const script = `exec unshare --pid --fork ${guestPath('objects')} ${guestPath('pid-iter')} map`;
    const { stdout, stderr } = bpfns(['run', '--', 'sh', '-ec', script]);
    assert.equal(stderr, '');
    const objects = stdout.split('\n').filter((line) => line.endsWith(' objects'));
    assert.deepEqual(objects, ['1 1 objects', '2 1 objects']);
  });

  test('in a pid namespace: no process from outside it, though of the same BPF namespace', () => {
    const script = `exec ${guestPath('objects')} unshare --pid --fork ${guestPath('pid-iter')} map`;
    const { stdout, stderr } = bpfns(['run', '--', 'sh', '-ec', script]);
    assert.equal(stderr, '');
    assert.deepEqual(
      [
        ...new Set(
          stdout
            .trimEnd()
            .split('\n')
            .map((line) => line.split(' ')[2]),
        ),
      ],
      ['pid-iter'],
    );
  });

  test("natively the same program yields the host's ids", () => {
    const { user, records } = answerOf(run(['sh', '-ec', asking('map')]));
    const held = records.filter(([, pid]) => pid === user);
    assert.equal(held.length, 2);
    assert.ok(held.every(([id]) => id > 2));
  });
});
