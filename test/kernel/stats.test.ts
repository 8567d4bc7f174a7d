/** Run statistics of the kernel, enabled by a guest. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  asContainerUser,
  bpfns,
  guestPath,
  leavesNothingBehind,
  run,
  skipReason,
  startInNamespace,
  until,
} from '../support/host.js';
import { followEvents } from '../support/watching.js';

const guest = guestPath('stats');

describe('BPF_ENABLE_STATS in a namespace', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is granted to a guest with CAP_BPF, and the runs of programs are counted', () => {
    const { stdout, stderr } = bpfns(['run', '--', ...asContainerUser, guest]);
    assert.equal(stdout, 'enabled, counted\nunknown type: EINVAL\n', stderr);
  });

  test('is refused without CAP_BPF, as the kernel refuses it without CAP_SYS_ADMIN', () => {
    const refused = 'EPERM\nunknown type: EPERM\n';
    const onlyNet = ['setpriv', '--bounding-set=-all,+net_admin', '--inh-caps=-all,+net_admin', guest];
    assert.equal(run([...asContainerUser, guest]).stdout, refused);
    assert.equal(bpfns(['run', '--', ...onlyNet]).stdout, refused);
  });

  test('is refused under run --no-stats', () => {
    const { stdout } = bpfns(['run', '--no-stats', '--', ...asContainerUser, guest]);
    assert.equal(stdout, 'EPERM\nunknown type: EPERM\n');
  });

  test('counts the runs of all programs until the guest is gone, and the agent keeps nothing of it', async () => {
    const waiting = await startInNamespace('echo ready; read -r _ || true'); // keeps the agent
    const keeping = await startInNamespace(`exec ${guest} keep`);
    assert.equal(run([guest, 'count']).stdout, 'counted\n');
    await keeping.end();
    await until(() => run([guest, 'count']).stdout === 'not counted\n', 'the runs are still counted');
    await waiting.end();
  });

  test('is told as an event', async () => {
    const waiting = await startInNamespace('echo ready; read -r _ || true'); // keeps the agent
    const events = followEvents();
    await until(() => {
      bpfns(['run', '--', ...asContainerUser, guest]);
      return events.seen().some(({ event }) => event === 'stats-enabled');
    }, 'no event has come');
    events.stop();
    await waiting.end();
  });
});
