/** Callers that are not the first thread of their process, which have no pidfd before Linux 6.9. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasFeature, lacking } from '../support/features.js';
import { bpfnsPath, guestPath, inNamespace, leavesNothingBehind, skipReason } from '../support/host.js';

const thread = guestPath('thread');

describe('a thread that is not the first of its process', { skip: skipReason }, () => {
  leavesNothingBehind();

  const cases = [
    { name: 'sees the maps of its namespace', command: `${thread} list`, visible: ['1'] },
    {
      name: 'in a namespace in a namespace sees none of the outer one',
      command: `${bpfnsPath} run -- ${thread} list`,
      visible: [],
    },
    { name: 'learns the id of its map', command: `${thread} info`, visible: ['2'] },
    { name: 'can enter a new namespace by itself (unshare)', command: `${thread} unshare`, visible: ['1'] },
    {
      name: 'can start a child in a new namespace (clone3)',
      command: `${thread} clone3`,
      visible: ['1'],
      skip: lacking('a clone3 whose bit 34 is free'),
    },
  ];
  for (const { name, command, visible, skip = false } of cases) {
    test(name, { skip }, () => {
      const { status, stdout, stderr } = inNamespace(`
        trap 'rm $P/outer' EXIT
        bpftool map create $P/outer type hash key 4 value 4 entries 10 name outer
        ${command}
      `);
      assert.equal(status, 0, stderr);
      assert.deepEqual(
        stdout.split('\n').filter((line) => line !== ''),
        visible,
      );
    });
  }

  const hasThreadPidfd = hasFeature('PIDFD_THREAD');
  test(`with fds of its own, ${hasThreadPidfd ? 'learns the id of its map' : 'gets the error of a bad fd'}`, () => {
    const { status, stdout, stderr } = inNamespace(`${thread} own-fds`);
    if (hasThreadPidfd) assert.deepEqual([status, stdout], [0, '1\n'], stderr);
    else assert.match(stderr, /File descriptor in bad state/);
  });

  test('who enters by itself leaves the outer namespace: its map is number 2 there', () => {
    const { status, stdout, stderr } = inNamespace(`
      trap 'rm $P/outer' EXIT
      bpftool map create $P/outer type hash key 4 value 4 entries 10 name outer
      ${thread} unshare
      bpftool -j map list
    `);
    assert.equal(status, 0, stderr);
    const [inner, list = ''] = stdout.trim().split('\n');
    assert.equal(inner, '1');
    assert.deepEqual(
      JSON.parse(list).map(({ name }: { name: string }) => name),
      ['outer'],
    );
  });
});
