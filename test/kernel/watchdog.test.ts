/** A guest whose memory makes the agent wait. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  runDir,
  skipReason,
  startInNamespace,
} from '../support/host.js';

describe('a guest that serves its own memory', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is killed, and the others go on with the same agent', async () => {
    const lifecycle = await startInNamespace('echo ready; read -r _ || true');
    const guest = spawn(bpfnsPath, ['run', '--', guestPath('holes'), 'slow-memory']);
    const ended = once(guest, 'exit');
    assert.equal((await createInterface({ input: guest.stdout })[Symbol.asyncIterator]().next()).value, 'ready');
    const agent = agentsOf(runDir ?? '');
    assert.equal(bpfns(['run', '--', 'true']).status, 0);
    assert.deepEqual(await ended, [null, 'SIGKILL']);
    assert.deepEqual(agentsOf(runDir ?? ''), agent);
    await lifecycle.end();
  });
});
