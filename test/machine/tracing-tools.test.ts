/** tracing=own: unmodified tools of Debian 13, with CAP_BPF alone, see the tasks of their namespace only. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, symlinkSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { DebianRoot } from '../support/debian-root.js';
import { bpfns, bpfnsPath, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';
import { nobodyWithBpfAlone, rootWithBpfAlone } from '../support/tracing.js';

/**
 * Runs the tool in its arguments, and once it says $READY, $BESIDE; again and again until it says $SHOWN, as some tools
 * say that they are ready before they are. Prints what it said.
 */
const script = `
  out=$(mktemp)
  stdbuf -oL "$@" >"$out" 2>&1 & tracer=$!
  until grep -q "$READY" "$out" || ! kill -0 $tracer; do sleep 0.1; done
  sh -c "$BESIDE"
  until grep -Eq "$SHOWN" "$out" || ! kill -0 $tracer; do sh -c "$BESIDE"; sleep 0.1; done
  kill -INT $tracer; wait $tracer; cat "$out"`;

describe("Debian 13's tools with tracing=own", { skip: skipReason }, () => {
  let debian: DebianRoot | undefined;
  let others: ChildProcess[] = [];
  leavesNothingBehind(async () => {
    for (const other of others) other.kill();
    await debian?.close();
    bpfns(['rm', 'other']);
  });

  before(async () => {
    // First: mounts that come later do not appear in the root's mount namespace.
    assert.equal(bpfns(['create', 'other']).status, 0);
    const view = bpfns(['tracefs']).stdout.trim();
    debian = await DebianRoot.make('trixie', ['bpftrace', 'libbpf-tools']);
    debian.add(guestPath('probed'), '/opt/probed');
    // Return probes of all tasks want the right to write the file.
    chmodSync(`${debian.path}/opt/probed`, 0o777);
    for (const name of ['alpha', 'beta', 'gamma']) symlinkSync('probed', `${debian.path}/opt/${name}`);
    // In another namespace and on the host the same file runs all the time.
    const loop = (name: string): string[] => ['sh', '-c', `while :; do ${debian?.path}/opt/${name} calls 2000; done`];
    others = [[bpfnsPath, 'exec', 'other', ...loop('beta')], loop('gamma')].map(([program = '', ...words]) =>
      spawn(program, words, { stdio: 'ignore' }),
    );
    const mount = run([...debian.besideIt, 'mount', '--bind', view, `${debian.path}/sys/kernel/tracing`]);
    assert.equal(mount.status, 0, mount.stderr);
  });

  /**
   * What the tool says, while alpha makes 20,000 calls of a function beside it. It says `ready` once it is attached.
   * What it counts, it says at its end; what it does not, it says soon, as `shown`.
   */
  function said(user: readonly string[], ready: string, tool: readonly string[], shown = ''): string {
    assert.ok(debian);
    const guest = ['chroot', debian.path, ...user, 'sh', '-c', script, 'sh', ...tool];
    const { stdout, stderr } = run([...debian.besideIt, bpfnsPath, 'run', '--tracing=own', '--', ...guest], {
      timeoutSeconds: 300,
      env: { READY: ready, SHOWN: shown, BESIDE: 'echo "alpha is $$"; exec /opt/alpha calls 20000' },
    });
    assert.equal(stderr, '', stdout);
    for (const name of ['beta', 'gamma', 'node']) assert.doesNotMatch(stdout, new RegExp(`\\b${name}\\b`));
    return stdout;
  }

  test('bpftrace: system calls, functions, USDT probes, samples, and its own beginning and end', () => {
    const output = said(
      rootWithBpfAlone,
      // It reads what its programs say only when all are attached.
      '^begins',
      [
        'bpftrace',
        '-e',
        `BEGIN { printf("begins\\n"); } END { printf("ends\\n"); }
      tracepoint:raw_syscalls:sys_enter { @calls[comm] = count(); }
      tracepoint:syscalls:sys_enter_execve { @programs[str(args.filename)] = count(); }
      uprobe:/opt/probed:probed_function { @entries[comm] = count(); }
      uretprobe:/opt/probed:probed_function { @returns[comm] = count(); }
      usdt:/opt/probed:bpfns:probed { @hits[comm] = count(); }
      profile:hz:999 { @samples[comm] = count(); }`,
      ],
    );
    assert.match(output, /^begins\n/m);
    assert.match(output, /^ends\n/m);
    const rows = output.matchAll(/^@(\w+\[.*\]): (\d+)$/gm);
    const seen = new Map(Array.from(rows, ([, key = '', count]) => [key, Number(count)]));
    for (const what of ['entries', 'returns', 'hits']) assert.equal(seen.get(`${what}[alpha]`), 20_000, output);
    for (const key of ['calls[alpha]', 'programs[/opt/alpha]', 'samples[alpha]']) assert.ok(seen.has(key), output);
  });

  test('opensnoop: the files that the own tasks open', () => {
    const shown = 'alpha .*/etc/ld\\.so\\.cache$';
    const output = said(nobodyWithBpfAlone, '^PID', ['opensnoop-libbpf'], shown);
    assert.match(output, /^\d+ +alpha +\d+ +0 +\/etc\/ld\.so\.cache$/m);
  });

  test('execsnoop: the programs that the own tasks execute', () => {
    const shown = '^alpha +[0-9]+ +0 +0 /opt/alpha calls 20000';
    const output = said(nobodyWithBpfAlone, '^PCOMM', ['execsnoop-libbpf'], shown);
    // The parent is 0: it reads it from the kernel's task.
    assert.match(output, new RegExp(shown, 'm'));
  });

  test('syscount: the calls of the own tasks', () => {
    const output = said(nobodyWithBpfAlone, 'Tracing', ['syscount-libbpf', '-P']);
    const [, own = ''] = /^alpha is (\d+)$/m.exec(output) ?? [];
    // The names are empty: it reads them from the kernel's tasks.
    const pids = [...output.matchAll(/^(\d+) +\d+$/gm)].map(([, pid]) => pid);
    assert.ok(pids.includes(own), output);
    for (const other of others) assert.ok(!pids.includes(String(other.pid)), output);
  });

  test('funclatency: each call of a function, and none that others make', () => {
    const rows = said(nobodyWithBpfAlone, 'Tracing', ['funclatency-libbpf', '/opt/probed:probed_function']).matchAll(
      /-> \d+ +: (\d+)/g,
    );
    assert.equal(
      [...rows].reduce((sum, [, count]) => sum + Number(count), 0),
      20_000,
    );
  });
});
