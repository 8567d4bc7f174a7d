/** The recorder, with each kind of hook that this kernel allows. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isPreemptible } from '../../src/sys/preemption.js';
import { hasFeature } from '../support/features.js';
import { bpfns, guestPath, inNamespace, leavesNothingBehind, runDir, skipReason, start } from '../support/host.js';

const kprobes = 'kprobes at return (kprobe.multi)';
const functions = 'function hooks (fentry, fexit)';
const lsm = 'LSM hook on fork';
/** Best first for a kernel that preempts tasks inside itself. */
const backends = [
  { name: 'lsm', needs: [lsm, kprobes, functions], links: ['bpf_called', 'function_exit', 'kprobe_exit'] },
  {
    name: 'kprobe',
    needs: [kprobes, functions],
    links: ['function_enter', 'function_exit', 'kprobe_enter', 'kprobe_exit'],
  },
  { name: 'tracepoint', needs: ['system call tracepoints'], links: ['tracepoint_enter', 'tracepoint_exit'] },
  { name: 'function', needs: [functions], links: ['function_called', 'function_exit'] },
] as const;

function forkLinks(): readonly string[] {
  if (!isPreemptible()) return ['task_forked'];
  return hasFeature(lsm) ? ['task_allocated'] : ['task_forked', 'task_forked_event'];
}

/** The names of the pinned links while a namespace exists. */
function attachedLinks(env: NodeJS.ProcessEnv): string[] {
  const { stdout, stderr, status } = bpfns(['run', '--', 'ls', `${runDir}/bpf/links`], { env });
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n').sort();
}

describe('the recorder', { skip: skipReason }, () => {
  const allowed = backends.filter(({ needs }) => needs.every(hasFeature));
  const preferred = isPreemptible() ? allowed[0] : allowed.at(-1); // without function hooks, tracepoints

  describe('left to choose', () => {
    leavesNothingBehind();

    test(`takes the ${preferred?.name} hooks: those that miss the fewest calls, then the cheapest`, () => {
      assert.deepEqual(attachedLinks({ BPFNS_RECORDER: '' }), [...(preferred?.links ?? []), ...forkLinks()].sort());
    });
  });

  for (const { name, links } of allowed) {
    describe(`on ${name} hooks`, () => {
      leavesNothingBehind();

      test('when BPFNS_RECORDER says so, uses them and no other', () => {
        assert.deepEqual(attachedLinks({ BPFNS_RECORDER: name }), [...links, ...forkLinks()].sort());
      });

      test('numbers what is created, by whichever command, and it opens by that number', () => {
        const { stdout, stderr } = inNamespace(guestPath('creations'), { env: { BPFNS_RECORDER: name } });
        const lines = stdout.trim().split('\n');
        assert.deepEqual(
          lines.filter((line) => !/^(BTF|PROG)_LOAD/.test(line)),
          ['MAP_CREATE 1 opens', 'LINK_CREATE 1 opens', 'RAW_TRACEPOINT_OPEN 2 opens', 'PROG_RUN 2 opens'],
          stderr,
        );
        // After the programs with which libbpf probes the kernel, and the kernel's own BTF. Their
        // number varies.
        assert.match(stdout, /^PROG_LOAD [1-9]\d* opens$/m);
        assert.match(stdout, /^BTF_LOAD [1-9]\d* opens$/m);
      });

      test("what a guest's child and its thread create is the namespace's too", () => {
        const { stdout, stderr } = inNamespace(
          `sh -c "${guestPath('thread')} info; true"; ${guestPath('thread')} info`,
          {
            env: { BPFNS_RECORDER: name },
          },
        );
        assert.deepEqual(stdout.trim().split('\n'), ['1', '2'], stderr);
      });

      const object = guestPath('runs.bpf.o');

      test('numbers what a light skeleton makes, the BTF too whose fd its loader closes', () => {
        const { stdout, stderr } = inNamespace(`${guestPath('runs')} skeleton ${object}`, {
          env: { BPFNS_RECORDER: name },
        });
        assert.match(stdout, /^map [1-9]\d* opens\nbtf [1-9]\d* opens\n$/, stderr);
      });

      test('numbers what a run made that then failed', () => {
        const { stdout, stderr } = inNamespace(`${guestPath('runs')} faulty ${object}`, {
          env: { BPFNS_RECORDER: name },
        });
        assert.match(stdout, /^map [1-9]\d* opens\nbtf [1-9]\d* opens\n$/, stderr);
      });

      test('does not number a map that went unnoticed, whatever of the guest came to use it', {
        skip: process.arch === 'x64' ? false : 'only on x86 do 64-bit processes have 32-bit system calls',
      }, async (t) => {
        const socket = `/tmp/bpfns-test-${process.pid}-${name}`;
        const victim = await start([guestPath('runs'), 'victim', socket]);
        const { stdout, stderr } = inNamespace(`${guestPath('runs')} claim ${object} ${socket}`, {
          env: { BPFNS_RECORDER: name },
        });
        await victim.end();
        rmSync(socket, { force: true });
        if (victim.output().includes('32-bit call: Function not implemented')) {
          t.skip('the kernel has no 32-bit system calls: nothing goes unnoticed');
          return;
        }
        assert.equal(stdout, 'the program is here, the map that it uses is 0\n', stderr);
      });
    });

    // The guest takes an object without a number for the end of its budget.
    const misses = name === 'function' && isPreemptible() && 'alone they miss calls where tasks are preempted';
    describe(`on ${name} hooks, with a budget used up`, { skip: misses }, () => {
      leavesNothingBehind();

      test('what was made then is never numbered, room or not, and whatever comes to use it', () => {
        const { stdout, stderr } = inNamespace(`${guestPath('runs')} squeeze ${guestPath('runs.bpf.o')}`, {
          env: { BPFNS_RECORDER: name, BPFNS_MAX_OBJECTS: '640' },
        });
        const after = 'the program is here, the maps are 0 and 0';
        assert.equal(stdout, `at first 0 and 0\n${after}\n`, stderr);
      });
    });
  }
});
