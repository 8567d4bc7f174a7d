/** Unmodified bpftool in unmodified engines' containers: each container is a BPF namespace. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { leavesNothingBehind, namespaceNames, skipReason, until } from '../support/host.js';
import { create, listed, mapsOf, sh } from './support/bpftool.js';
import { type Container, scriptOutput } from './support/engine.js';
import { engines } from './support/engines.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { writeProfile } from './support/profile.js';

for (const engine of engines) {
  describe(`containers of ${engine.name}`, { skip: skipReason }, () => {
    leavesNothingBehind();
    leavesNoContainersBehind();

    describe('two of them', () => {
      let daemon: Daemon;
      let first: Container;
      let second: Container;
      before(async () => {
        daemon = await Daemon.configured('');
        await engine.open();
        const profile = writeProfile('standard');
        first = await engine.start({ label: 'first', profile, script: `${create('init_one')}; bpftool -j map list` });
        second = await engine.start({ label: 'second', profile, script: create('init_two') });
      });
      after(async () => {
        await first?.remove();
        await engine.close();
        await daemon.stop();
      });

      test('what PID 1 makes first has id 1, and is all that it lists', async () => {
        const { text, status } = await scriptOutput(first);
        assert.equal(status, 0, text);
        assert.deepEqual(
          (JSON.parse(text) as Array<{ id: number; name: string }>).map(({ id, name }) => [id, name]),
          [[1, 'init_one']],
        );
      });

      test('an exec joins the namespace of its container', async () => {
        assert.deepEqual(await listed(first), [[1, 'init_one']]);
      });

      test('what an exec makes gets the next id, and the next exec finds it', async () => {
        await sh(first, create('exec_one'));
        assert.deepEqual(await listed(first), [
          [1, 'init_one'],
          [2, 'exec_one'],
        ]);
      });

      test('an object is opened, changed and dumped by its id', async () => {
        const dump = await sh(first, 'bpftool map update id 2 key 1 0 0 0 value 5 0 0 0; bpftool map dump id 2');
        assert.match(dump, /key: 01 00 00 00 {2}value: 05 00 00 00/);
      });

      test('the other container sees only its own, by an id of its own', async () => {
        await scriptOutput(second);
        assert.deepEqual(await listed(second), [[1, 'init_two']]);
        const { status, stderr } = await second.exec(['/bin/bpftool', 'map', 'show', 'id', '2']);
        assert.notEqual(status, 0);
        assert.match(stderr, /No such file or directory/);
      });

      test("no program or link of the host's is listed", async () => {
        assert.deepEqual(await listed(first, 'prog'), []);
        assert.deepEqual(await listed(first, 'link'), []);
      });

      test('execs at the same time, as health checks are, all get the same answer', async () => {
        const answers = await Promise.all(Array.from({ length: 6 }, () => listed(first)));
        for (const answer of answers)
          assert.deepEqual(
            answer.map(([id]) => id),
            [1, 2],
          );
      });

      test('32-bit calls of bpf(2) fail with ENOSYS, whatever the command', async () => {
        const lines = (await sh(first, 'commands 36')).split('\n').filter((line) => /^(i386|x32) /.test(line));
        assert.equal(lines.length, 2 * 37);
        assert.deepEqual(
          lines.filter((line) => !line.endsWith(' ENOSYS')),
          [],
        );
      });

      test('the host sees both, by the ids of the containers', () => {
        const names = namespaceNames();
        assert.ok(names.includes(first.id) && names.includes(second.id), names.join(' '));
        assert.deepEqual(mapsOf(first.id).sort(), ['exec_one', 'init_one']);
        assert.deepEqual(mapsOf(second.id), ['init_two']);
      });

      test('a container in the place of another, of the same name perhaps, begins at 1', async () => {
        await second.remove();
        second = await engine.start({ label: 'second', profile: writeProfile('standard'), script: create('again') });
        await scriptOutput(second);
        assert.deepEqual(await listed(second), [[1, 'again']]);
      });

      test('a container that is gone with its objects is not listed any more', async () => {
        await second.remove();
        await until(() => !namespaceNames().includes(second.id), 'the namespace is still there');
        assert.deepEqual(await listed(first), [
          [1, 'init_one'],
          [2, 'exec_one'],
        ]);
      });
    });
  });
}
