/**
 * Containers whose calls are interrupted: by signals, and by the freezer. Their filter is without
 * WAIT_KILLABLE, so a signal ends the wait for the agent at any time.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Daemon } from '../support/daemons.js';
import { agentsOf, leavesNothingBehind, run, runDir, skipReason, until } from '../support/host.js';
import { limit, times } from '../support/slowness.js';
import { runc } from './support/bundle.js';
import { type Container, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind, workDir } from './support/machine.js';
import { writeProfile } from './support/profile.js';

interface Count {
  readonly calls: number;
  readonly signals: number;
  readonly interrupted: number;
  readonly fds: number;
}

/** What the guests `interrupted` counted in a container: one line each. */
async function counted(container: Container): Promise<Count[]> {
  const { text, status } = await scriptOutput(container, isSoak ? 3600 : 300);
  assert.equal(status, 0, text);
  const found = [...text.matchAll(/^calls (\d+), signals (\d+), interrupted (\d+), fds (-?\d+)$/gm)];
  assert.ok(found.length > 0, text);
  return found.map((line) => {
    const [calls = 0, signals = 0, interrupted = 0, fds = 0] = line.slice(1).map(Number);
    return { calls, signals, interrupted, fds };
  });
}

/** How many listeners and objects of bpf(2) the agent has open. */
function agentsFds(): number {
  const [pid = ''] = agentsOf(runDir ?? '');
  const kinds = ['-lname', 'anon_inode:seccomp notify', '-o', '-lname', 'anon_inode:b*'];
  return run(['find', `/proc/${pid}/fd`, ...kinds]).stdout.split('\n').length - 1;
}

/** Calls of a guest under fire, for each way to handle the signal. */
const CALLS = times(50_000);
const isSoak = process.env.BPFNS_SOAK === '1';
/** Calls of a Go program, for each way to call. Raw ones take long: most of them are interrupted many times. */
const goCalls = [
  ['syscall', isSoak ? 1_000_000 : times(10_000)],
  ['raw', times(1000)],
] as const;
/** Guests that the freezer meets, and how often it does. */
const GUESTS = 8;
const FREEZES = times(1000);
const PAUSES = 10;

function pidOf(container: Container): number {
  return JSON.parse(run(['runc', '--root', `${workDir}/runc`, 'state', container.id]).stdout).pid;
}

/** Freezes the cgroup of a process, or thaws it; hierarchies of either version. */
function freezerOf(pid: number): { readonly freeze: () => Promise<void>; readonly thaw: () => void } {
  const cgroups = readFileSync(`/proc/${pid}/cgroup`, 'latin1');
  const [, old] = /^\d+:freezer:(.*)$/m.exec(cgroups) ?? [];
  const [, unified] = /^0::(.*)$/m.exec(cgroups) ?? [];
  const directory = old === undefined ? `/sys/fs/cgroup${unified}` : `/sys/fs/cgroup/freezer${old}`;
  const file = `${directory}/${old === undefined ? 'cgroup.freeze' : 'freezer.state'}`;
  const isFrozen = (): boolean =>
    old === undefined
      ? readFileSync(`${directory}/cgroup.events`, 'latin1').includes('frozen 1')
      : readFileSync(file, 'latin1').startsWith('FROZEN');
  return {
    freeze: async () => {
      writeFileSync(file, old === undefined ? '1' : 'FROZEN');
      for (const end = Date.now() + limit(60_000); !isFrozen(); await pause(1)) {
        if (Date.now() > end) throw new Error('the cgroup has not frozen within 60 s');
      }
    },
    thaw: () => writeFileSync(file, old === undefined ? '0' : 'THAWED'),
  };
}

describe('a call that is interrupted', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('', () => {
    leavesNoContainersBehind();
    describe('', () => {
      let daemon: Daemon;
      let profile: string;
      before(async () => {
        daemon = await Daemon.configured('');
        profile = writeProfile('interrupted');
        // The first container opens what the agent keeps open.
        await during('interrupted restart 8');
      });
      after(() => daemon.stop());

      /** What the guest counts in a container of its own. */
      async function during(script: string): Promise<Count> {
        const container = await runc.start({ label: 'signals', profile, script });
        try {
          const [count] = await counted(container);
          return count as Count;
        } finally {
          await container.remove();
        }
      }

      test('is made again by the kernel, if the handler has SA_RESTART', async () => {
        const before = agentsFds();
        const { calls, signals, interrupted, fds } = await during(`interrupted restart ${CALLS}`);
        assert.ok(calls >= CALLS);
        assert.ok(signals > CALLS / 100, `${signals} signals`);
        await until(() => agentsFds() <= before, 'the agent has left descriptors open');
        assert.deepEqual({ interrupted, fds }, { interrupted: 0, fds: 0 });
      });

      test('gives EINTR otherwise, and leaves no fd', async () => {
        const { calls, interrupted, fds } = await during(`interrupted plain ${CALLS}`);
        assert.ok(calls >= CALLS);
        assert.ok(interrupted > 0);
        assert.equal(fds, 0);
      });

      for (const [way, count] of goCalls) {
        test(`of a Go program (${way}) is made again by the kernel, however often its runtime signals`, async (t) => {
          const before = agentsFds();
          const { calls, signals, interrupted, fds } = await during(`preempted ${way} ${count}`);
          t.diagnostic(`${calls} calls, ${signals} signals`);
          assert.ok(calls >= count);
          assert.ok(signals > 0);
          assert.deepEqual({ interrupted, fds }, { interrupted: 0, fds: 0 });
          await until(() => agentsFds() <= before, 'the agent has left descriptors open');
        });
      }

      test('by the freezer goes on when the cgroup is thawed', async () => {
        const script = `for i in $(seq ${GUESTS}); do interrupted until /tmp/stop & done; wait`;
        const before = agentsFds();
        const container = await runc.start({ label: 'frozen', profile, script });
        try {
          const { freeze, thaw } = freezerOf(pidOf(container));
          for (let time = 0; time < FREEZES; time++) {
            await freeze();
            thaw();
          }
          for (let time = 0; time < PAUSES; time++) {
            for (const action of ['pause', 'resume']) {
              const { status, stderr } = run(['runc', '--root', `${workDir}/runc`, action, container.id]);
              assert.equal(status, 0, stderr);
            }
          }
          await container.exec(['/bin/sh', '-c', ': >/tmp/stop']);
          const counts = await counted(container);
          assert.equal(counts.length, GUESTS);
          // Whose calls are last in line may get few answers between two freezes.
          assert.ok(counts.reduce((sum, { calls }) => sum + calls, 0) > FREEZES);
          for (const { interrupted, fds } of counts) {
            assert.deepEqual({ interrupted, fds }, { interrupted: 0, fds: 0 });
          }
        } finally {
          await container.remove();
        }
        await until(() => agentsFds() <= before, 'the agent has left descriptors open');
      });
    });
  });
});
