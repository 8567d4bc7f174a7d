/** Programs work under bpfns as they do natively, with the same results. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cgroup2Mount } from '../../src/host/cgroups.js';
import {
  asContainerUser,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  type Outcome,
  run,
  skipReason,
} from '../support/host.js';

process.env.CGROUP = cgroup2Mount();

const users = [
  { user: 'root', as: [] },
  { user: 'the container user', as: asContainerUser },
] as const;
const inside = [bpfnsPath, 'run', '--'];

describe('a CO-RE object with libbpf: load, attach, ring buffer', { skip: skipReason }, () => {
  leavesNothingBehind();
  const guest = [guestPath('parity'), guestPath('parity.bpf.o')];

  /** What each kind of program must have delivered for a meaningful comparison. */
  const works: Readonly<Record<string, RegExp>> = {
    on_tracepoint: /source 0, 1 times, value 0/,
    on_raw_tracepoint: /source 1, 1 times, value parent/,
    on_btf_tracepoint: /source 2, 1 times, value parent/,
    on_cgroup: /source 3, 1 times, value 33/,
    on_xdp: /source 4, 1 times, value 47/,
    on_perf_event: /source 5, 1 times, value 0/,
    iterator: /4 bytes, the parent/,
  };
  for (const { user, as } of users) {
    test(`as ${user}, inside as outside`, () => {
      const native = run([...as, ...guest]);
      for (const [program, expected] of Object.entries(works)) {
        const line = native.stdout.split('\n').find((each) => each.startsWith(program)) ?? '';
        // Tracepoints are opened through tracefs, which is root's.
        const refused = program === 'on_tracepoint' && user !== 'root';
        assert.match(line, refused ? /attach: Permission denied/ : expected);
      }
      assert.deepEqual(run([...inside, ...as, ...guest]), native);
    });
  }
});

describe('a query for attached programs', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('writes of attr what the kernel writes, and nothing else', () => {
    const native = run([guestPath('query')]);
    assert.equal(native.stdout, '0 programs\n', native.stderr);
    assert.deepEqual(run([...inside, guestPath('query')]), native);
  });
});

describe('bpftrace, as root', { skip: skipReason }, () => {
  leavesNothingBehind();

  const oneLiners: ReadonlyArray<readonly [what: string, args: readonly string[], output: RegExp]> = [
    [
      'BEGIN and maps',
      ['BEGIN { @a["x"] = 5; @b = hist(7); printf("%d\\n", 6 * 7); exit(); }'],
      /42\n[\s\S]*@a\[x\]: 5/,
    ],
    [
      'a tracepoint with its arguments',
      [
        'tracepoint:sched:sched_process_exec /pid == cpid/ { printf("%s\\n", str(args->filename)); exit(); }',
        '-c',
        '/bin/true',
      ],
      /\/bin\/true/,
    ],
    [
      'a system call tracepoint with a filter',
      ['tracepoint:syscalls:sys_enter_execve /pid == cpid/ { @ = count(); } END { exit(); }', '-c', '/bin/true'],
      /@: 1/,
    ],
    ['profile', ['profile:hz:99 { @seen = 1; exit(); }'], /@seen: 1/],
    ['a software event', ['software:cpu-clock:1000000 { @seen = 1; exit(); }'], /@seen: 1/],
    // It goes on for a moment after exit().
    ['an interval', ['interval:ms:50 { if (@n < 3) { @n++; } else { exit(); } }'], /@n: 3/],
  ];
  const bpftrace = (launcher: readonly string[], args: readonly string[]): Outcome => {
    const outcome = run([...launcher, 'bpftrace', '-e', ...args]);
    return { ...outcome, stderr: outcome.stderr.replace(/\(\d+\)/g, '(pid)') };
  };

  for (const [what, args, output] of oneLiners) {
    test(`${what}, inside as outside`, () => {
      const native = bpftrace([], args);
      assert.match(native.stdout, output);
      assert.deepEqual(bpftrace(inside, args), native);
    });
  }
});
