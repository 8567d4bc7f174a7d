/** `bpfns keeper`: a daemon that is killed with all its processes, as with its pod, loses no container. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Daemon } from '../support/daemons.js';
import {
  bpfns,
  bpfnsPath,
  leavesNothingBehind,
  type Outcome,
  root,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';
import { runc } from './support/bundle.js';
import type { Container } from './support/engine.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { writeProfile } from './support/profile.js';

/** A call every now and then, and a line with its exit status. */
const caller = 'while :; do bpftool map list >/dev/null 2>&1; echo $?; sleep 0.02; done';

/** What bpfns in a container needs of the host. */
const mounts = Object.fromEntries(
  ['/usr', '/lib', '/lib64', root, dirname(dirname(process.execPath))].map((path) => [path, path]),
);

class Keeper {
  readonly process: ChildProcess;
  #said = '';

  constructor() {
    this.process = spawn(bpfnsPath, ['keeper'], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** @returns how many fds it has from the daemon that runs */
  async ready(): Promise<number> {
    await until(() => /keeping \d+ fds/.test(this.#said), 'the keeper is not ready');
    return Number(/keeping (\d+) fds/.exec(this.#said)?.[1]);
  }
}

/** All processes at once, without a chance to do anything: the kubelet's last means. */
async function kill(daemon: Daemon): Promise<void> {
  const supervisor = daemon.pid;
  const agents = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'latin1').match(/\d+/g) ?? [];
  for (const pid of [supervisor, ...agents.map(Number)]) process.kill(pid, 'SIGKILL');
  await until(() => !bpfns(['self-check']).stderr.includes('not answered'), '');
}

describe('bpfns keeper', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('', () => {
    leavesNoContainersBehind();
    describe('', () => {
      let keeper: Keeper;
      let daemon: Daemon;
      let container: Container;
      const daemons: Daemon[] = [];
      const start = async (): Promise<void> => {
        daemon = new Daemon(['--replace', '--stay']);
        daemons.push(daemon);
        await daemon.ready();
      };
      /** Exit statuses of the container's calls so far. */
      const calls = async (): Promise<string[]> =>
        (await container.exec(['/bin/cat', '/tmp/out'])).stdout.trim().split('\n');
      /** As a probe of the container's own. */
      const selfCheck = (): Promise<Outcome> =>
        container.exec([
          '/usr/bin/env',
          `PATH=${dirname(process.execPath)}:/usr/bin:/bin`,
          `BPFNS_RUN_DIR=${runDir}`,
          bpfnsPath,
          'self-check',
        ]);
      const goesOn = async (): Promise<void> => {
        const earlier = (await calls()).length;
        let now: string[] = [];
        for (const end = Date.now() + limit(30) * 1000; now.length < earlier + 3; now = await calls()) {
          if (Date.now() > end) throw new Error(`no further call: ${now.join()} ${daemon.log}`);
        }
        assert.deepEqual(
          now.filter((status) => status !== '0'),
          [],
        );
      };

      before(async () => {
        keeper = new Keeper();
        await keeper.ready();
        await start();
        container = await runc.start({
          label: 'kept',
          profile: writeProfile('kept'),
          script: caller,
          mounts,
        });
        await goesOn();
      });
      after(async () => {
        await container.remove();
        for (const each of daemons) await each.stop();
        keeper.process.kill('SIGTERM');
        await until(() => keeper.process.exitCode !== null, 'the keeper has not ended');
      });

      test('a daemon that is killed: calls wait for the next, and none fails', async () => {
        await kill(daemon);
        await pause(200);
        await start();
        await goesOn();
      });

      test('a keeper that is killed: the next has everything from the daemon', async () => {
        keeper.process.kill('SIGKILL');
        keeper = new Keeper();
        assert.ok((await keeper.ready()) >= 2, 'the journal and a listener');
        await kill(daemon);
        await start();
        await goesOn();
      });

      test('a daemon that is replaced stays until it is stopped, and takes nothing back', async () => {
        const earlier = daemon;
        await start();
        await goesOn();
        assert.ok(earlier.isRunning);
        assert.equal(await earlier.end('SIGTERM'), 0);
        await goesOn();
      });

      // These repeat it, as a probe does: on an emulated machine an answer may take longer than self-check waits.
      test('self-check on the host says whether the daemon and the keeper answer', async () => {
        await until(() => bpfns(['self-check']).status === 0, 'the daemon has not answered');
        await until(() => bpfns(['self-check', '--keeper']).status === 0, 'the keeper has not answered');
      });

      test('self-check in the container succeeds while its calls are answered', async () => {
        await until(async () => (await selfCheck()).status === 0, 'the daemon has not answered');
      });

      test('both killed: the next daemon says whose calls fail', async () => {
        keeper.process.kill('SIGKILL');
        await kill(daemon);
        assert.equal(bpfns(['self-check']).status, 1);
        assert.equal(bpfns(['self-check', '--keeper']).status, 1);
        await start();
        const isTold = new RegExp(`the listener of a container is lost.*${container.id}`);
        await until(() => isTold.test(daemon.log), 'the log does not tell of the container');
        // An exec has a listener of its own.
        await until(async () => (await calls()).includes('255'), 'no call has failed');
        const isLost = /the listener of this container is lost.*Restart it/;
        const saysSo = async (): Promise<boolean> => isLost.test((await selfCheck()).stderr);
        await until(saysSo, 'self-check does not say that the listener is lost');
        assert.equal((await selfCheck()).status, 1);
        keeper = new Keeper();
        await keeper.ready();
      });
    });
  });
});

describe('bpfns self-check in a namespace', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('succeeds if calls are answered', async () => {
    await until(() => bpfns(['run', '--', bpfnsPath, 'self-check']).status === 0, 'no call was answered in time');
  });

  test('fails if the agent hangs, or nothing has the listener', () => {
    const pids = `$(pgrep -f "bpfns.js (agent|supervise)" | while read p; do
      if tr "\\0" "\\n" </proc/$p/environ | grep -qx BPFNS_RUN_DIR=${runDir}; then echo $p; fi; done)`;
    const script = `kill -STOP ${pids}; $0 self-check; echo $?; kill -KILL ${pids}; $0 self-check; echo $?`;
    const { stdout, stderr } = bpfns(['run', '--no-nesting', '--', 'sh', '-c', script, bpfnsPath]);
    assert.equal(stdout, '1\n1\n');
    assert.match(stderr, /has not answered within .*\n.*nothing answers/);
    // The next agent removes what the killed one has left.
    assert.equal(bpfns(['run', '--', 'true']).status, 0);
  });
});
