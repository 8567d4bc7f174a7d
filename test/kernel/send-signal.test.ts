/** A tracing program kills processes that its user may not: what CAP_PERFMON allows, and tracing=own refuses. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  asContainerUser,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { isSlow, limit } from '../support/slowness.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

const ownMachine = isSlow ? false : 'kills processes of others: only in a machine of its own, by make test-vm';
const EPERM = 'kill 1';

/** A process of root that makes system calls all the time, and what a guest said that would kill it. */
async function attack(before: readonly string[]): Promise<{ victim: number; said: readonly string[] }> {
  const script = 'echo $$; echo ready; exec dd if=/dev/zero of=/dev/null bs=1';
  const [victim = ''] = (await start(['sh', '-c', script])).lines;
  const guest = await start([...before, guestPath('send-signal'), victim]);
  return { victim: Number(victim), said: guest.lines };
}

describe('bpf_send_signal()', { skip: skipReason || ownMachine }, () => {
  leavesNothingBehind();

  for (const [where, before] of [
    ['natively', []],
    ['in a namespace with tracing=host', [bpfnsPath, 'run', '--']],
  ] as const) {
    test(`${where}, CAP_BPF and CAP_PERFMON are enough to kill a process of root, where kill(2) is EPERM`, async () => {
      const { victim, said } = await attack([...before, ...asContainerUser]);
      assert.deepEqual(said, [EPERM, 'load 0 ', 'attach 0', 'ready']);
      await until(() => !existsSync(`/proc/${victim}`), 'the process lives');
    });
  }

  test('with tracing=own it is refused when the program is loaded, and the process lives', async () => {
    const { victim, said } = await attack([bpfnsPath, 'run', '--tracing=own', '--', ...nobodyWithBpfAlone]);
    assert.equal(said[0], EPERM);
    assert.match(said[1] ?? '', /^load 13 unknown func bpf_send_signal#109 \(instruction 4\): tracing=own refuses it/);
    await sleep(limit(100)); // in which it makes many system calls
    process.kill(victim); // throws if it is gone
  });
});
