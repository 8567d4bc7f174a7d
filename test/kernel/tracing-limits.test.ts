/** tracing=own: what the agent makes for a guest is bounded, for its namespace with all below it. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { tracepointId, withTracefs } from '../../src/sys/tracepoint.js';
import { bpfns, bpfnsPath, guestPath, leavesNothingBehind, skipReason, start } from '../support/host.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

/** How many loads of a guest may wait. */
const WAITING = 64;
const exhaust = guestPath('exhaust');

describe('events with tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('a guest opens so many events, and as many again once they are closed', () => {
    const id = withTracefs((root) => tracepointId(root, 'syscalls', 'sys_enter_getppid'));
    const command = [...nobodyWithBpfAlone, 'prlimit', '--nofile=6000', exhaust, 'events', String(id)];
    const { stdout, stderr } = bpfns(['run', '--tracing=own', '--', ...command]);
    const outputs = Math.max(1024, 32 * availableParallelism());
    const twice = (what: string): string => `${what} ENOSPC, ${what} ENOSPC\n`;
    const expected = ['tracepoint 8', 'timer 8', 'fast-timer 2', `output ${outputs}`];
    assert.deepEqual([stdout, stderr], [expected.map(twice).join(''), '']);
  });
});

describe('programs with tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('those of a namespace below count, and those that are gone do not', async () => {
    // The first command starts the agent, with its settings: 128 pages of programs.
    const keep = await start([bpfnsPath, 'run', '--', 'sh', '-c', 'echo ready; read -r _'], {
      BPFNS_MAX_OBJECTS: '64',
    });
    const run = (): string => bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, exhaust, 'programs']).stdout;
    assert.equal(run(), '128 ENOMEM\n0 ENOMEM\n');
    await keep.end();
  });

  test('so many loads of a guest wait for their turn, and more are refused', () => {
    const { stdout } = bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, exhaust, 'loads']);
    const [, loaded, refused] = /^loaded (\d+), ENOMEM (\d+), others 0\n$/.exec(stdout) ?? [];
    assert.ok(Number(loaded) > WAITING && Number(refused) > 0, stdout);
  });
});
