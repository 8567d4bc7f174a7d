/** An unprivileged bpftool under `bpfns run`: what the README promises first. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asContainerUser, inNamespace, leavesNothingBehind, pinDirectory, run, skipReason } from '../support/host.js';

describe('bpftool as a container user', { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const kind of ['map', 'prog', 'link', 'btf']) {
    test(`natively '${kind} list' fails with EPERM`, () => {
      const { status, stderr } = run([...asContainerUser, 'bpftool', kind, 'list'], { env: { P: pinDirectory() } });
      assert.notEqual(status, 0);
      assert.match(stderr, /Operation not permitted/);
    });
  }

  test('the first map has id 1 and can be listed, changed and dumped by id', () => {
    const { stdout } = inNamespace(`
      bpftool map create $P/first type hash key 4 value 4 entries 10 name first
      bpftool map update id 1 key 1 0 0 0 value 5 0 0 0
      bpftool -j map list
      bpftool map dump id 1
      rm $P/first
    `);
    const [list = '', ...dump] = stdout.split('\n');
    assert.deepEqual(
      JSON.parse(list).map(({ id, name }: { id: number; name: string }) => [id, name]),
      [[1, 'first']],
    );
    assert.match(dump.join('\n'), /key: 01 00 00 00 {2}value: 05 00 00 00/);
  });
});
