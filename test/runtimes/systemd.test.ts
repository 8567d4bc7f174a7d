/** The packaged unit under a real systemd: what systemd gives back to a service that was restarted or killed. */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { agentServes, allRight, allRunning, type CrashGuest, HANG, startGuest } from '../support/crash-guests.js';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  leavesNothingBehind,
  namespaceNames,
  removePins,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';
import { ServiceManager } from './support/systemd.js';

const WATCHDOG_SECONDS = 3;
/** Of a start; and the packaged unit's, of a stop. */
const START_SECONDS = limit(10);
const STOP_SECONDS = 10;

describe('the systemd unit', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('as a service', () => {
    const manager = new ServiceManager(mkdtempSync('/tmp/bpfns-systemd-'));
    const agent = (): string => agentsOf(runDir ?? '').join();
    const main = (): number => Number(manager.show('MainPID'));
    const kill = (pid: number, signal: NodeJS.Signals): void => {
      assert.ok(pid > 0); // 0 would be the process group of the test
      process.kill(pid, signal);
    };
    let guests: readonly CrashGuest[] = [];

    before(async () => {
      await manager.start({ WatchdogSec: String(WATCHDOG_SECONDS), TimeoutStartSec: String(START_SECONDS) });
      await until(() => manager.show('ActiveState') === 'active', 'the service has not started');
      guests = ['list', 'list', 'create', 'nest'].map((role, i) => startGuest(`unit${i}`, role));
      const areThere = (): boolean => guests.every(({ name }) => namespaceNames().includes(name));
      await until(areThere, 'the guests have not started', 120);
    });
    after(async () => {
      for (const { process } of guests) process.kill();
      removePins();
      const isEmpty = until(() => namespaceNames().length === 1, 'namespaces are left');
      await isEmpty.catch(() => undefined);
      await manager.close();
    });

    test('starts the agent, and systemd holds a copy of each listener and the journal', async () => {
      assert.equal(manager.show('StatusText'), 'Serving');
      const all = String(guests.length + 1);
      await until(() => manager.show('NFileDescriptorStore') === all, 'a listener or the journal is missing');
    });

    const ends: ReadonlyArray<[what: string, end: () => void]> = [
      ['is restarted', () => manager.control('restart', 'bpfns.service')],
      ['loses its main process, and systemd kills the rest', () => kill(main(), 'SIGKILL')],
      ['is killed whole', () => manager.control('kill', '--signal=KILL', 'bpfns.service')],
      // An upgrade as the unit describes it: the service ends, is restarted, and takes everything
      // back.
      ['is replaced by hand', () => run([bpfnsPath, 'daemon', '--replace'])],
      ['hangs, and systemd ends it', () => kill(Number(agent()), 'SIGSTOP')],
    ];
    for (const [what, end] of ends) {
      test(`goes on with every guest when the service ${what}`, async () => {
        const [earlier, served] = [main(), agent()];
        end();
        await until(() => ![0, earlier].includes(main()), 'systemd has not started the service again', 120);
        await until(() => !['', served].includes(agent()), 'no agent has come');
        await agentServes();
        // Its watchdog runs from here on.
        await until(() => manager.show('ActiveState') === 'active', 'the service is not ready');
        allRunning(guests);
      });
    }

    test('has lost no call of any guest', async (t) => {
      const { calls, longest } = await allRight(guests);
      t.diagnostic(`${calls} calls, the longest took ${longest} ms`);
      assert.ok(longest < HANG);
    });

    test('is replaced when it hangs before it is ready, and the guest goes on', async () => {
      const guest = startGuest('waits', 'list');
      await until(() => bpfns(['ls']).stdout.includes('waits'), 'the guest has not started');
      manager.hangNext();
      manager.control('restart', '--no-block', 'bpfns.service');
      const isStopped = (): boolean => run(['grep', 'State:', `/proc/${main()}/status`]).stdout.includes('T (stopped)');
      await until(isStopped, 'the service does not hang');
      const hanging = main();
      await until(() => ![0, hanging].includes(main()), 'it hangs on', START_SECONDS + STOP_SECONDS + 60);
      await agentServes();
      await until(() => manager.show('ActiveState') === 'active', 'the service is not ready');
      await allRight([guest]);
    });

    test('lets no other agent start while it is down: that one would not have the listeners', () => {
      assert.equal(bpfns(['create', 'kept']).status, 0);
      manager.control('stop', 'bpfns.service');
      const { status, stderr } = bpfns(['run', '--', 'true']);
      assert.equal(status, 125);
      assert.match(stderr, /^bpfns: the service that runs the agent is down: start it/);
      manager.control('start', 'bpfns.service');
      assert.equal(bpfns(['rm', 'kept']).status, 0);
    });
  });
});
