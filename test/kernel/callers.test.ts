/** Unusual callers: threads, short-lived processes, callers that are killed, stopped or interrupted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MOST_KEPT } from '../../src/calls/kept-fds.js';
import { keepsOneAgent } from '../support/agent.js';
import { lacking } from '../support/features.js';
import { bpfns, guestPath, leavesNothingBehind, skipReason, until } from '../support/host.js';
import { times } from '../support/slowness.js';

const callers: ReadonlyArray<readonly [mode: string, behaviour: string, needs?: string]> = [
  ['non-leader', 'a thread that is not the leader is answered'],
  ['orphan', 'a thread that outlives its leader is answered', 'PIDFD_THREAD'],
  ['files', 'an fd number means what it means in the fd table of the calling thread', 'PIDFD_THREAD'],
  ['vfork', 'a vfork child and then its parent are answered'],
  ['exec', 'a program is in the same namespace after exec'],
  ['storm', `${times(1000)} short processes, 50 at a time, are answered`],
  ['crowd', '200 threads that call at once are answered'],
  ['killed', 'callers killed in mid-call harm nobody'],
  ['pid-reuse', 'a process with the pid of a caller killed in mid-call keeps its memory'],
  ['stopped', 'a caller stopped and continued around calls is answered'],
  ['restarting-signals', 'signals with SA_RESTART do not interrupt a call'],
  ['signals', 'a call interrupted by a signal without SA_RESTART gives EINTR and no wrong answer'],
];

describe('callers', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('of one agent', () => {
    const agent = keepsOneAgent();

    for (const [mode, behaviour, needs] of callers) {
      test(`${behaviour}; no fd stays in the agent`, { skip: needs !== undefined && lacking(needs) }, async () => {
        const fds = await agent.fds();
        const { stdout, stderr } = bpfns(['run', '--', guestPath('callers'), mode]);
        assert.deepEqual([stdout, stderr], ['ok\n', '']);
        // Listeners of namespaces that ended close a moment later.
        await until(async () => (await agent.fds()) <= fds, 'the agent has left descriptors open');
        assert.ok(agent.kept() <= 2 * MOST_KEPT, `${agent.kept()} are open`);
        assert.equal(agent.log(), '');
      });
    }
  });
});
