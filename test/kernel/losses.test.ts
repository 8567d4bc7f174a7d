/** Many processes create at once: no creation is lost, and what a hook does not see is counted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusReply } from '../../src/control/protocol.js';
import { isSameOrAncestor } from '../../src/model/namespaces.js';
import { backends } from '../../src/recorder/hooks.js';
import { hasFeature } from '../support/features.js';
import { Guest } from '../support/guest.js';
import { bpfns, guestPath, leavesNothingBehind, namespaceNames, skipReason, until } from '../support/host.js';
import { isSlow, limit } from '../support/slowness.js';

/**
 * Maps and children of each process. BPFNS_TEST_RUSH="10000 2000" is the full size: ten minutes on an emulated
 * machine.
 */
const [maps = 0, forks = 0] = (process.env.BPFNS_TEST_RUSH ?? (isSlow ? '250 50' : '1000 200')).split(' ').map(Number);
const RUNNERS = 8;
/** How long the agent is given to find what no hook saw, in ms. */
const PATIENCE = limit(60_000);

interface Rush {
  /** How many maps each of the eight namespaces owns. */
  readonly owned: readonly number[];
  readonly status: StatusReply;
}

/** Eight processes in namespaces below one make maps, and fork children that each make one, while others read maps. */
class Running {
  readonly #guest: Guest;

  private constructor(guest: Guest) {
    this.#guest = guest;
  }

  static async start(recorder: string, maps: number, forks: number, readers = 0): Promise<Running> {
    const env = { BPFNS_RECORDER: recorder, BPFNS_MAX_OBJECTS: '400000' };
    const command = [guestPath('rush'), `${maps}`, `${forks}`, `${readers}`];
    const guest = Guest.bpfns(['run', '--name', 'rush', '--', ...command], env);
    await guest.printed('ready');
    return new Running(guest);
  }

  async look(): Promise<Rush> {
    const { agent } = JSON.parse(bpfns(['doctor', '--json']).stdout) as { agent: StatusReply };
    const { readRecords } = await import('../../src/host/inventory.js'); // after the run directory is known
    const { model } = readRecords();
    const top = model.find('rush');
    const below = model.all().filter((each) => each !== top && top && isSameOrAncestor(top, each));
    return { owned: below.map(({ owned }) => owned.map.size), status: agent };
  }

  /** Waits for its children and their maps, too: its name is free afterwards. */
  async end(): Promise<void> {
    assert.equal(await this.#guest.end(), 0);
    await until(() => namespaceNames().length === 1, 'namespaces are left');
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

describe('eight processes that create at once', { skip: skipReason }, () => {
  describe('with the hooks that the recorder chooses', () => {
    leavesNothingBehind();

    test(`own all ${maps} maps and those of all ${forks} children each`, async (t) => {
      const rush = await Running.start('', maps, forks);
      const { owned, status } = await rush.look();
      await rush.end();
      t.diagnostic(`${status.backend} hooks; missed calls ${status.missedCalls}, missed forks ${status.missedForks}`);
      assert.deepEqual(
        owned,
        Array.from({ length: RUNNERS }, () => maps + forks),
      );
    });

    const tooLong = isSlow && process.env.BPFNS_TEST_RUSH === undefined;
    test('own all of their maps a moment later, while others are preempted in map operations all the time', {
      skip: tooLong ? 'takes minutes on an emulated machine: BPFNS_TEST_RUSH asks for it' : false,
    }, async (t) => {
      const few = Math.ceil(maps / 5);
      const rush = await Running.start('', few, 0, 2);
      let { owned, status } = await rush.look();
      t.diagnostic(`${status.backend} hooks; at first ${RUNNERS * few - sum(owned)} lost`);
      for (const end = Date.now() + PATIENCE; Date.now() < end && sum(owned) < RUNNERS * few; ) {
        await sleep(500);
        ({ owned, status } = await rush.look());
      }
      await rush.end();
      t.diagnostic(`missed calls ${status.missedCalls}`);
      const lost = RUNNERS * few - sum(owned);
      // Without an LSM, hooks on a preemptible kernel miss calls altogether, and say so.
      assert.ok(lost <= (status.backend === 'kprobe' ? status.missedCalls : 0), `${lost} maps are in no namespace`);
    });
  });

  const features = {
    lsm: ['LSM hook on fork', 'kprobes at return (kprobe.multi)', 'function hooks (fentry, fexit)'],
    kprobe: ['kprobes at return (kprobe.multi)', 'function hooks (fentry, fexit)'],
    function: ['function hooks (fentry, fexit)'],
    tracepoint: ['system call tracepoints'],
  };
  for (const each of backends.filter((backend) => features[backend].every(hasFeature))) {
    describe(`with ${each} hooks`, () => {
      leavesNothingBehind();

      test('lose no more maps than the hooks are known to have missed calls', async (t) => {
        const rush = await Running.start(each, maps, forks);
        const { owned, status } = await rush.look();
        await rush.end();
        const lost = RUNNERS * (maps + forks) - sum(owned);
        t.diagnostic(`${lost} lost; missed calls ${status.missedCalls}, missed forks ${status.missedForks}`);
        assert.ok(lost <= status.missedCalls + status.missedForks, `${lost} maps are in no namespace`);
      });
    });
  }
});
