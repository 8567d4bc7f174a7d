/** What Linux 7 adds to bpf(2): new types of maps and links have ids as all others. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lacking } from '../support/features.js';
import { bpfnsPath, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';

describe('RHASH and INSN_ARRAY maps, and TRACING_MULTI links', {
  skip: skipReason || lacking('RHASH maps and TRACING_MULTI links'),
}, () => {
  leavesNothingBehind();

  test('count from 1 inside and open by their ids; the info of the link tells the program and the BTF as known there', () => {
    const { stdout, stderr } = run([bpfnsPath, 'run', '--', guestPath('newest')]);
    assert.equal(
      stdout,
      [
        'RHASH 1 opens',
        'INSN_ARRAY 2 opens',
        'TRACING_MULTI 1 opens, of program 1, 1 function of BTF 1, the right one',
        '',
      ].join('\n'),
      stderr,
    );
  });
});
