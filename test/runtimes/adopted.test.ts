/** A container whose listener the agent takes late: what it made before is the namespace's all the same. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { leavesNothingBehind, skipReason } from '../support/host.js';
import { create, listed } from './support/bpftool.js';
import { runc } from './support/bundle.js';
import { type Container, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { writeProfile } from './support/profile.js';

const NAMES = ['one', 'two', 'three', 'four', 'five', 'six'];

describe('a container that the agent learns of late', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('', () => {
    leavesNoContainersBehind();
    describe('', () => {
      let daemon: Daemon;
      let container: Container | undefined;
      before(async () => {
        daemon = await Daemon.configured('');
      });
      after(async () => {
        await container?.remove();
        await daemon.stop();
      });

      /** Stops the daemon's supervisor and agent, or lets them go on. */
      function signal(name: 'SIGSTOP' | 'SIGCONT'): void {
        const agents = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'latin1').match(/\d+/g) ?? [];
        for (const pid of [...agents.map(Number), daemon.pid]) process.kill(pid, name);
      }

      test('has numbered what it made before in the order of creation', async () => {
        const profile = writeProfile('adopted');
        signal('SIGSTOP');
        try {
          container = await runc.start({ label: 'adopted', profile, script: NAMES.map(create).join(' && ') });
          const { text, status } = await scriptOutput(container);
          assert.equal(status, 0, text);
        } finally {
          signal('SIGCONT');
        }
        assert.deepEqual(
          await listed(container),
          NAMES.map((name, place) => [place + 1, name]),
        );
      });
    });
  });
});
