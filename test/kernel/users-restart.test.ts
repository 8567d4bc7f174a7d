/** What a user has, and how much more they may have, after the agent has crashed or another daemon has taken over. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { lacking } from '../support/features.js';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  listed,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { bpfnsOf, inOwn, runtimeOf, userTable } from '../support/users.js';

const WHAT = 'cmds=map_create,maps=array';
const ANN = 54341;
const BOB = 54342;
/** Of each; root lets them have four times as many listeners. */
const NAMESPACES = 2;
const LISTENERS = 4 * NAMESPACES;

const configuration = [ANN, BOB].map((uid) => userTable(uid, NAMESPACES, WHAT)).join('');

describe('what a user has', { skip: skipReason || lacking('BPF token') }, () => {
  let daemon: Daemon | undefined;
  leavesNothingBehind(async () => void (await daemon?.end()));

  describe('stays as it is', () => {
    /** Two namespaces of ANN with a map each, and eight processes of one container of BOB. */
    let guests: Guest[] = [];
    let runtimes: Guest[] = [];
    before(async () => {
      daemon = await Daemon.configured(configuration);
      const holdMap = [...inOwn(ANN), bpfnsPath, 'run', '--delegate', WHAT, '--', guestPath('token'), 'hold'];
      guests = await Promise.all([start(holdMap), start(holdMap)]);
      const held = Array.from({ length: LISTENERS }, () => start(runtimeOf(BOB, 'hold', 'box')));
      runtimes = await Promise.all(held);
      await until(() => joined() === LISTENERS, 'the processes have not joined');
    });
    after(async () => {
      for (const each of [...guests, ...runtimes]) await each.end();
    });
    /** Processes of BOB's container that have joined it: the daemon tells of the first one only. */
    const joined = (): number => namespaceOf(`user-${BOB}/box`)?.tasks ?? 0;

    const check = async (): Promise<void> => {
      for (const guest of guests) assert.deepEqual(await guest.ask('list'), ['maps: 1 errno 2']);
      const [first, second] = listed('map', `user-${ANN}`);
      assert.ok(first && second && first.namespace.id !== second.namespace.id);
      assert.match(bpfnsOf(ANN, 'run', '--', 'true').stderr, /a limit on their number is reached/);
      assert.equal(joined(), LISTENERS);
      assert.equal(run(runtimeOf(BOB, 'self', 'box')).stdout, 'next map errno 38\n');
      for (const runtime of runtimes.slice(0, 2)) {
        // EPERM where it is not in the user namespace of the first; nobody would answer with ENOSYS.
        assert.match((await runtime.ask('other')).join(), /^next map errno [12]$/);
      }
      assert.equal(namespaceOf(`user-${BOB}/other`), undefined);
    };

    const replaceBy = async (text: string): Promise<void> => {
      const next = await Daemon.configured(text, '--replace');
      assert.equal(await daemon?.ended(), 0);
      daemon = next;
    };

    test('at first', check);

    test('after a crash of the agent', async () => {
      const [agent] = agentsOf(runDir ?? '');
      process.kill(Number(agent), 'SIGKILL');
      await until(() => ![undefined, agent].includes(agentsOf(runDir ?? '')[0]), 'no agent has come back');
      await check();
    });

    test('under a daemon that has taken over', async () => {
      await replaceBy(configuration);
      await check();
    });

    test('under one that has no such user any more: nobody connects, and all else goes on', async () => {
      await replaceBy('');
      for (const guest of guests) assert.deepEqual(await guest.ask('list'), ['maps: 1 errno 2']);
      assert.equal(bpfnsOf(ANN, 'run', '--', 'true').status, 125);
      assert.equal(joined(), LISTENERS);
    });
  });
});

interface Shown {
  readonly path: string;
  readonly tasks: number;
}

function namespaceOf(path: string): Shown | undefined {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout) as { namespaces: Shown[] };
  return namespaces.find((each) => each.path === path);
}
