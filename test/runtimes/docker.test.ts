/** What Docker does with a running container: its calls go on, and it stays in its namespace. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { leavesNothingBehind, namespaceNames, skipReason, until } from '../support/host.js';
import { limit } from '../support/slowness.js';
import { type Events, eventsFromNow } from '../support/watching.js';
import { create, listed, mapsOf, sh } from './support/bpftool.js';
import { mustRun } from './support/command.js';
import { docker, dockerAlone, dockerImage } from './support/docker.js';
import { type Container, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { writeProfile } from './support/profile.js';

/** Makes a map, if it is not there from before a restart, and then a call every now and then. */
const script = `[ -e /pins/kept ] || ${create('kept')}
  while :; do bpftool map list >/dev/null 2>&1; echo $? >>/tmp/calls; sleep 0.02; done &`;

describe('a container of docker', { skip: skipReason }, () => {
  leavesNothingBehind();
  leavesNoContainersBehind();

  describe('that makes calls all the time', () => {
    let daemon: Daemon;
    let events: Events;
    let container: Container;
    const inspect = async (field: string): Promise<string> =>
      (await mustRun(docker('inspect', '--format', `{{${field}}}`, container.id))).trim();
    const joined = (): unknown[] =>
      events.seen().flatMap(({ event, pid }) => (event === 'container-joined' ? [pid] : []));
    const calls = async (): Promise<string[]> => (await sh(container, 'cat /tmp/calls')).trim().split('\n');

    /** Waits for further calls. None may have failed. */
    async function goesOn(): Promise<void> {
      const earlier = (await calls()).length;
      let now: string[] = [];
      for (const end = Date.now() + limit(30) * 1000; now.length < earlier + 3; now = await calls()) {
        if (Date.now() > end) throw new Error(`no further call: ${now.join()} ${daemon.log}`);
      }
      assert.deepEqual(new Set(now), new Set(['0']));
    }

    before(async () => {
      daemon = await Daemon.configured('');
      await dockerAlone.open();
      events = await eventsFromNow();
      container = await dockerAlone.start({ label: 'calls', profile: writeProfile('docker'), script });
      assert.equal((await scriptOutput(container)).status, 0);
    });
    after(async () => {
      events.stop();
      await container?.remove();
      await dockerAlone.close();
      await daemon.stop();
    });

    test('is announced with the pid that Docker knows', async () => {
      await until(() => joined().length > 0, 'nothing announces it');
      assert.equal(joined()[0], Number(await inspect('.State.Pid')));
    });

    test('goes on after `docker pause` and `docker unpause`; meanwhile the host has its answers', async () => {
      await mustRun(docker('pause', container.id));
      assert.deepEqual(mapsOf(container.id), ['kept']);
      await mustRun(docker('unpause', container.id));
      await goesOn();
    });

    test('loses no call when another daemon takes over', async () => {
      const earlier = daemon;
      daemon = new Daemon(['--replace']);
      await daemon.ready();
      await until(() => !earlier.isRunning, 'the earlier daemon runs on');
      await goesOn();
      assert.deepEqual(await listed(container), [[1, 'kept']]);
    });

    test('finds what it pinned, by its id, after `docker restart`', async () => {
      const pid = await inspect('.State.Pid');
      await mustRun(docker('restart', '--time', '0', container.id));
      assert.notEqual(await inspect('.State.Pid'), pid);
      assert.deepEqual(namespaceNames(), ['init', container.id]);
      assert.deepEqual(await listed(container), [[1, 'kept']]);
      await goesOn();
    });

    test('has the namespace that an annotation names, where the profile allows it', async () => {
      const profile = writeProfile('annotated', ['--metadata', 'annotations=allow']);
      const annotations = { 'bpfns.io/name': 'web' };
      const other = await dockerAlone.start({ label: 'annotated', profile, annotations, script: create('its') });
      try {
        await scriptOutput(other);
        assert.deepEqual(mapsOf('web'), ['its']);
      } finally {
        await other.remove();
      }
    });

    test('has no filter if it is privileged, whatever its profile: `bpfns doctor` says so', async () => {
      const profile = `seccomp=${writeProfile('privileged')}`;
      const options = ['--rm', '--privileged', '--network=none', '--security-opt', profile];
      const words = docker('run', ...options, dockerImage, '/bin/grep', 'Seccomp:', '/proc/self/status');
      assert.equal(await mustRun(words), 'Seccomp:\t0\n');
    });
  });
});
