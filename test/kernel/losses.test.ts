/** Many processes create at once: no creation is lost, and what a hook does not see is counted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatusReply } from '../../src/control/protocol.js';
import { isSameOrAncestor } from '../../src/model/namespaces.js';
import { backends } from '../../src/recorder/hooks.js';
import { hasFeature } from '../support/features.js';
import { Guest } from '../support/guest.js';
import { bpfns, guestPath, leavesNothingBehind, skipReason } from '../support/host.js';

/** Maps and children of each process: BPFNS_TEST_RUSH="10000 2000" is the full size, minutes on an emulated machine. */
const [maps = 0, forks = 0] = (process.env.BPFNS_TEST_RUSH ?? '1000 200').split(' ').map(Number);
const RUNNERS = 8;

interface Rush {
  readonly backend: string;
  /** How many maps each of the eight namespaces owns. */
  readonly owned: readonly number[];
  readonly status: StatusReply;
}

/** Eight processes in namespaces below one make maps, and fork children that each make one. */
async function rush(recorder: string): Promise<Rush> {
  const env = { BPFNS_RECORDER: recorder, BPFNS_MAX_OBJECTS: '400000' };
  const guest = Guest.bpfns(['run', '--name', 'rush', '--', guestPath('rush'), `${maps}`, `${forks}`], env);
  await guest.printed('ready');
  const { agent } = JSON.parse(bpfns(['doctor', '--json']).stdout) as { agent: StatusReply };
  const { readRecords } = await import('../../src/host/inventory.js'); // after the run directory is known
  const { model } = readRecords();
  const top = model.find('rush');
  const below = model.all().filter((each) => each !== top && top && isSameOrAncestor(top, each));
  assert.equal(await guest.end(), 0);
  return { backend: agent.backend, owned: below.map(({ owned }) => owned.map.size), status: agent };
}

describe('eight processes that create and fork at once', { skip: skipReason }, () => {
  describe('with the hooks that the recorder chooses', () => {
    leavesNothingBehind();

    test(`own all ${maps} maps and those of all ${forks} children each`, async (t) => {
      const { backend, owned, status } = await rush('');
      t.diagnostic(`${backend} hooks; missed calls ${status.missedCalls}, missed forks ${status.missedForks}`);
      assert.deepEqual(
        owned,
        Array.from({ length: RUNNERS }, () => maps + forks),
      );
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
        const { owned, status } = await rush(each);
        const lost = RUNNERS * (maps + forks) - owned.reduce((sum, count) => sum + count, 0);
        t.diagnostic(`${lost} lost; missed calls ${status.missedCalls}, missed forks ${status.missedForks}`);
        assert.ok(lost <= status.missedCalls + status.missedForks, `${lost} maps are in no namespace`);
      });
    });
  }
});
