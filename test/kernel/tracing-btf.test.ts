/** tracing=own: what a loader says of the instructions stays true, though the agent puts others in front. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bpfns, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';
import { nobodyWithBpfAlone, rootWithPerfmon } from '../support/tracing.js';

const relocated = guestPath('relocated');

describe('tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('functions, lines, a field that the kernel looks up and a map of fd_array are as natively', () => {
    const native = run([...rootWithPerfmon, relocated]);
    assert.match(native.stdout, /^returns [1-9]\d{3}, functions 2, lines 3\n$/, native.stderr);
    assert.deepEqual(bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, relocated]), native);
  });
});
