/** tracing=own: a program gets no pointer into the kernel, by whatever the verifier lets privileged ones have. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  run,
  skipReason,
  start,
} from '../support/host.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

const EACCES = 13;

/** What the guest says: name -> errno and the last line of the log. */
function resultsOf({ stdout, stderr }: { stdout: string; stderr: string }): Map<string, [errno: number, log: string]> {
  assert.equal(stderr, '');
  const found = new Map<string, [number, string]>();
  for (const [, name = '', errno, log = ''] of stdout.matchAll(/^(\S+) (\d+) ?(.*)$/gm))
    found.set(name, [Number(errno), log]);
  return found;
}

describe('tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();

  test("no program reads the kernel's memory through maps, its functions' types, or what bpfns puts into it", async () => {
    // In a PID namespace, so that pids are replaced; the agent must not be in there.
    const keep = await start([bpfnsPath, 'run', '--', 'sh', '-c', 'echo ready; read -r _']);
    const own = [bpfnsPath, 'run', '--tracing=own', '--', ...nobodyWithBpfAlone, guestPath('smuggle')];
    const found = resultsOf(run(['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', ...own]));
    await keep.end();
    assert.equal(found.get('plain')?.[0], 0);
    for (const [name, [errno, log]] of found) {
      if (name === 'plain' || name.startsWith('stack')) continue;
      assert.equal(errno, EACCES, name);
      const expected = name.startsWith('left-')
        ? /^R\d (!read_ok|invalid mem access '(scalar|inv)')|^invalid bpf_context access/
        : /^not allowed: .*: tracing=own refuses it, /;
      assert.match(log, expected, name);
    }
    assert.equal(found.size, 42);
  });

  test('what the kernel left on the stack is gone when a program begins, and each of its functions', () => {
    const found = resultsOf(bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, guestPath('smuggle')]));
    const stacks = [...found].filter(([name]) => name.startsWith('stack'));
    assert.equal(stacks.length, 6);
    for (const [name, answer] of stacks) assert.deepEqual(answer, [0, name === 'stack-of-loop' ? '3' : '0'], name);
  });

  test('with CAP_PERFMON and tracing=host the kernel loads them, as far as it knows them', () => {
    const found = resultsOf(bpfns(['run', '--', ...asContainerUser, guestPath('smuggle')]));
    for (const name of ['plain', 'map-structure', 'map-in-map']) assert.equal(found.get(name)?.[0], 0, name);
  });
});
