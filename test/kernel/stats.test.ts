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
