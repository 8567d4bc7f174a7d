/**
 * Bad calls, natively as root and in a namespace as root: the error numbers are the same, except
 * for documented differences.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { keepsOneAgent } from '../support/agent.js';
import { bpfns, guestPath, leavesNothingBehind, root, run, skipReason } from '../support/host.js';

const SEEDS = [1, 2, 3, 4];
const CALLS = 10_000;
/**
 * The memory of Node itself, and the arrays of one call (MAX_ARRAYS in
 * src/calls/commands/info/get-info-by-fd.ts).
 */
const MEMORY_CAP_MIB = 384;
const EPERM = 1;
const ENOENT = 2;
const EFAULT = 14;

interface Difference {
  /** The heading in docs/limitations.md. */
  readonly title: string;
  /** The calls that it concerns. */
  readonly call: RegExp;
  readonly natively: (errno: number) => boolean;
  readonly inside: (errno: number) => boolean;
}

const differences: readonly Difference[] = [
  {
    title: 'Private memory that is not writable',
    call: /(attr:|info: |pointer: )(into-readonly|readonly|shared-readonly|none)/,
    natively: (errno) => errno === EFAULT,
    inside: (errno) => errno !== EPERM,
  },
  {
    title: 'Tasks outside the namespace',
    call: /^TASK_FD_QUERY .*\{0\}=/,
    natively: () => true,
    inside: (errno) => errno === ENOENT,
  },
];

/** "NUMBER CALL = ERRNO" */
function results(stdout: string): Array<readonly [call: string, errno: number]> {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => /^\d+ (.*) = (\d+)$/.exec(line))
    .map((match) => [match?.[1] ?? '', Number(match?.[2])] as const);
}

/**
 * Makes the calls of a seed natively and in a namespace. @returns the differences that no entry of
 * the table explains
 */
function compare(seed: number, used: Set<string>): string[] {
  const command = [guestPath('fuzz'), String(seed), String(CALLS)];
  const natively = results(run(command).stdout);
  const inside = results(bpfns(['run', '--', ...command]).stdout);
  assert.equal(natively.length, CALLS);
  assert.equal(inside.length, CALLS);
  return natively.flatMap(([call, native], i) => {
    const [same, errno = -1] = inside[i] ?? [];
    if (same === call && errno === native) return [];
    const reason = differences.find((each) => each.call.test(call) && each.natively(native) && each.inside(errno));
    if (same === call && reason) used.add(reason.title);
    return same === call && reason ? [] : [`${call}: natively ${native}, inside ${errno}`];
  });
}

describe('bad calls', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('of one agent', () => {
    const agent = keepsOneAgent();
    const used = new Set<string>();

    for (const seed of SEEDS) {
      test(`${CALLS} calls of seed ${seed} give the native error numbers, and the agent stays whole`, () => {
        const pid = agent.pid();
        let unexplained = compare(seed, used);
        // The calls are the same each time. A difference caused by other activity on the host does
        // not repeat.
        if (unexplained.length > 0) {
          const again = new Set(compare(seed, used));
          unexplained = unexplained.filter((difference) => again.has(difference));
        }
        assert.deepEqual(unexplained, []);
        assert.equal(agent.pid(), pid);
        assert.equal(agent.log(), '');
        assert.ok(agent.peakMiB() < MEMORY_CAP_MIB, `${agent.peakMiB()} MiB`);
      });
    }

    test('every difference met is documented, and every documented one is met', () => {
      const text = readFileSync(`${root}docs/limitations.md`, 'utf8');
      const section = text.split('## Differences in error numbers\n')[1]?.split('\n## ')[0] ?? '';
      const documented = [...section.matchAll(/^\*\*(.+?)\.\*\*/gm)].map(([, title]) => title);
      for (const title of used) assert.ok(documented.includes(title), title);
      assert.deepEqual([...used].sort(), differences.map(({ title }) => title).sort());
    });
  });
});
