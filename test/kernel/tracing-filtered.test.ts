/** tracing=filtered: a guest with CAP_PERFMON sees its own tasks only, and may do what it may natively. It is no wall. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { bpfns, guestPath, leavesNothingBehind, skipReason, until } from '../support/host.js';
import { counts, nobodyWithBpfAlone, rootWithPerfmon, startBpftrace } from '../support/tracing.js';
import { followEvents } from '../support/watching.js';

const loop = 'while :; do dd if=/dev/zero of=/dev/null bs=1 count=20000 2>/dev/null; done';

describe('tracing=filtered', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('programs run for the own tasks only, while the host makes more calls', async () => {
    const host = spawn('sh', ['-c', loop], { detached: true });
    try {
      const script = 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }';
      const guest = await startBpftrace(script, { beside: 'cat /etc/passwd', mode: 'filtered' });
      await guest.ask('go', 'done');
      await guest.end();
      const seen = counts(guest.output());
      assert.ok((seen.cat ?? 0) > 5, guest.output());
      for (const name of ['dd', 'node']) assert.equal(seen[name], undefined);
    } finally {
      process.kill(-(host.pid ?? 0));
    }
  });

  test('all helpers are there: stacks of the kernel, too', async () => {
    const script = 'tracepoint:raw_syscalls:sys_enter { @[kstack] = count(); }';
    const guest = await startBpftrace(script, { mode: 'filtered' });
    await guest.end();
    assert.match(guest.output(), /0xffff|syscall/);
    const words = ['run', '--tracing=filtered', '--', ...rootWithPerfmon, guestPath('tracing'), 'hostile'];
    const { stdout } = bpfns(words);
    // send_signal and get_current_task_btf; others fail for their arguments alone.
    for (const id of [109, 158]) assert.match(stdout, new RegExp(`^helper-${id} 0 `, 'm'));
    assert.doesNotMatch(stdout, /tracing=own refuses|unknown func bpf_probe_read_kernel/);
  });

  test('a guest without CAP_PERFMON may no more than natively', () => {
    const words = ['run', '--tracing=filtered', '--', ...nobodyWithBpfAlone, guestPath('tracing'), 'hostile'];
    assert.match(bpfns(words).stdout, /^plain 1 /m);
  });

  test('the event of such a namespace says that it is no wall', async () => {
    const events = followEvents();
    const told = (): unknown => events.seen().find(({ tracing }) => tracing === 'filtered')?.note;
    await until(() => {
      bpfns(['run', '--tracing=filtered', '--', 'true']);
      return told() !== undefined;
    }, 'no event');
    events.stop();
    assert.match(String(told()), /no wall/);
  });
});
