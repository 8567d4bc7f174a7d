/** tracing=own: a guest with CAP_BPF alone traces its own tasks, and nobody else's. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { tracepointId, withTracefs } from '../../src/sys/tracepoint.js';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  Guest,
  guestPath,
  leavesNothingBehind,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { times } from '../support/slowness.js';
import { counts, nobodyWithBpfAlone, rootWithBpfAlone, rootWithPerfmon, startBpftrace } from '../support/tracing.js';

const directory = mkdtempSync('/tmp/bpfns-tracing-');
const EPERM = 1;
const EINVAL = 22;
const EACCES = 13;
const E2BIG = 7;

/** A program under a name of its own that makes 2 * `blocks` system calls. */
function busy(name: string, blocks: number): string {
  return `${directory}/${name} if=/dev/zero of=/dev/null bs=1 count=${blocks} 2>/dev/null`;
}

/** What the guest `tracing` says: name -> errno and the rest of the line. */
function results(what: string, mode = 'own', caller = nobodyWithBpfAlone): Map<string, [errno: number, text: string]> {
  const env = withTracefs((root) => ({
    TRACEPOINT: String(tracepointId(root, 'syscalls', 'sys_enter_getppid')),
    SWITCH: String(tracepointId(root, 'sched', 'sched_switch')),
  }));
  const { stdout, stderr } = bpfns(['run', `--tracing=${mode}`, '--', ...caller, guestPath('tracing'), what], { env });
  assert.equal(stderr, '');
  const lines = stdout.trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [, name = '', errno, text = ''] = /^(\S+) (\d+) ?(.*)$/.exec(line) ?? [];
      return [name, [Number(errno), text]];
    }),
  );
}

describe('tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();
  before(() => {
    for (const name of ['alpha', 'beta', 'gamma']) symlinkSync('/bin/dd', `${directory}/${name}`);
  });
  after(() => rmSync(directory, { recursive: true }));

  test('each of two namespaces sees all its own system calls, and not one of the other or of the host', async () => {
    const host = spawn('sh', ['-c', `while :; do ${busy('gamma', 20_000)}; done`]);
    try {
      const script = 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }';
      const names = ['alpha', 'beta'];
      const guests = await Promise.all(names.map((name) => startBpftrace(script, { beside: busy(name, 50_000) })));
      await Promise.all(guests.map((guest) => guest.ask('go', 'done')));
      await Promise.all(guests.map((guest) => guest.end()));
      guests.forEach((guest, i) => {
        const seen = counts(guest.output());
        assert.ok((seen[names[i] ?? ''] ?? 0) >= 100_000, guest.output());
        for (const other of ['gamma', 'node', names[1 - i] ?? '']) assert.equal(seen[other], undefined);
      });
    } finally {
      host.kill();
    }
  });

  test('counts exactly, and not one event of two other namespaces or of the host in more than a million', async (t) => {
    const host = spawn('sh', ['-c', `while :; do ${busy('gamma', 20_000)}; done`]);
    const loop = `echo ready; while :; do ${busy('beta', 20_000)}; done`;
    const others = await Promise.all(
      ['own', 'host'].map((mode) => start([bpfnsPath, 'run', `--tracing=${mode}`, '--', 'sh', '-c', loop])),
    );
    const calls = 'tracepoint:raw_syscalls:sys_enter /args->id < 2/';
    try {
      const blocks = times(500_000);
      const guest = await startBpftrace(`${calls} { @[comm] = count(); }`, { beside: busy('alpha', blocks) });
      // Sees the whole machine. It begins after the guest, and is asked before that ends.
      const script = `${calls} { @[comm] = count(); } interval:ms:500 { printf("ready\\n"); print(@); }`;
      const witness = await start(['bpftrace', '-e', script]);
      others.push(witness);
      const ofOthers = (): number => {
        const { beta = 0, gamma = 0 } = counts(witness.output());
        return beta + gamma;
      };
      await guest.ask('go', 'done');
      await until(() => ofOthers() > times(1_000_000), 'the others do not make a million calls', 120);
      t.diagnostic(`${ofOthers()} events of others`);
      await guest.end();
      const seen = counts(guest.output());
      // Its loader reads a few files, too.
      assert.ok((seen.alpha ?? 0) >= 2 * blocks && (seen.alpha ?? 0) < 2 * blocks + 50, guest.output());
      for (const name of Object.keys(seen)) assert.match(name, /^(alpha|bpftrace|kill|sh)$/);
    } finally {
      host.kill();
      for (const { pid } of others) process.kill(pid);
    }
  });

  test('an event says which file is opened, and the pid that the container knows', async () => {
    const keep = await start([bpfnsPath, 'run', '--', 'sh', '-c', 'echo ready; read -r _']);
    const script =
      'tracepoint:syscalls:sys_enter_openat /comm == "cat"/ { printf("%d %s\\n", pid, str(args->filename)); }';
    const guest = await startBpftrace(script, {
      before: ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
      beside: 'sh -c \'echo "it is $$"; exec cat /etc/passwd >/dev/null\'',
    });
    await guest.ask('go', 'done');
    await guest.end();
    await keep.end();
    const [, pid] = /it is (\d+)/.exec(guest.output()) ?? [];
    assert.ok(Number(pid) < 100, `a pid namespace of its own: ${pid}`);
    assert.match(guest.output(), new RegExp(`^${pid} /etc/passwd$`, 'm'));
  });

  test('CPU samples are of the own tasks, with their user stacks', async () => {
    const host = spawn('sh', ['-c', 'while :; do :; done']);
    try {
      const guest = await startBpftrace('profile:hz:99 { @[comm] = count(); @stacks[ustack] = count(); }', {
        beside: busy('alpha', 1_000_000),
      });
      await guest.ask('go', 'done');
      await guest.end();
      const seen = counts(guest.output());
      assert.ok((seen.alpha ?? 0) > 5, guest.output());
      assert.match(guest.output(), /@stacks\[\n +\S+/);
      for (const name of ['node', 'swapper/0', 'swapper/1']) assert.equal(seen[name], undefined);
    } finally {
      host.kill();
    }
  });

  test('BEGIN and END run', async () => {
    const guest = await startBpftrace('BEGIN { printf("begins\\n"); } END { printf("ends\\n"); }');
    await guest.end();
    assert.match(guest.output(), /^begins\n(.*\n)*ends$/m);
  });

  test('a stack of the kernel is empty', async () => {
    const guest = await startBpftrace('tracepoint:raw_syscalls:sys_enter { @[kstack] = count(); }');
    await guest.end();
    assert.doesNotMatch(guest.output(), /syscall|0xffff/);
  });

  test('natively the same user may do none of it', () => {
    const { stdout, stderr } = run([...rootWithBpfAlone, 'bpftrace', '-e', 'profile:hz:99 { exit(); }']);
    assert.match(stdout + stderr, /Permission denied|Error loading program/);
  });

  test('what shows others, the kernel, or acts on others is refused, with the reason in the log', () => {
    const found = results('hostile');
    for (const [name, [errno, log]] of found) {
      if (name.startsWith('helper-'))
        assert.match(log, /^unknown func bpf_\w+#-?\d+ \(instruction 1\): tracing=own/, name);
      if (name.startsWith('type-')) assert.match(log, /^not allowed: .*: tracing=own refuses it, /, name);
      if (/^helper|^type|^k/.test(name)) assert.equal(errno, EACCES, name);
    }
    assert.deepEqual(found.get('raw-run'), [0, '7']);
    assert.equal(found.get('raw-open')?.[0], EPERM);
    for (const name of ['context-after-call', 'context-after-stack']) {
      assert.equal(found.get(name)?.[0], EACCES);
    }
    assert.equal(found.get('indirect-jump')?.[0], EINVAL);
    assert.equal(found.get('jump-before-start')?.[0], EINVAL);
    assert.equal(found.get('nothing')?.[0], E2BIG);
    assert.equal(found.get('plain')?.[0], 0);
    assert.ok(found.size > 45);
  });

  test('no event shows samples or counts of others', () => {
    const found = results('perf');
    for (const name of ['sched_switch', 'sched_switch-of-own', 'cycles', 'page-faults', 'breakpoint', 'fast-clock']) {
      assert.equal(found.get(name)?.[0], EACCES, name);
    }
    assert.equal(found.get('output-with-ids')?.[0], EACCES);
    assert.equal(found.get('output')?.[0], 0);
    // struct perf_event_header alone; and nobody in the namespace calls getppid().
    assert.match(found.get('clock')?.[1] ?? '', /longest-sample [08]$/);
    assert.equal(found.get('tracepoint')?.[1], 'count 0 longest-sample 0');
  });

  test('the log of the verifier is as natively, at each level and with too little room', () => {
    const native = results('logs', 'host', rootWithPerfmon);
    assert.equal(native.size, 42);
    assert.deepEqual(results('logs'), native);
  });

  test('a program is loaded once, and no part of it is verified twice', async () => {
    const native = results('verified', 'host', rootWithPerfmon);
    bpfns(['create', 'kept', '--tracing=own']);
    const log = `${directory}/calls`;
    const strace = ['strace', '-f', '-e', 'trace=bpf', '-o', log, '-p', agentsOf(runDir ?? '')[0] ?? ''];
    const watch = new Guest(['sh', '-c', '"$@" 2>&1 & read -r _; kill $!; wait', 'sh', ...strace]);
    try {
      await until(() => watch.output().includes('attached'), 'strace does not attach');
      const own = results('verified');
      for (const [name, [errno, count]] of native) {
        const [ownErrno, ownCount] = own.get(name) ?? [];
        assert.deepEqual([errno, ownErrno], [0, 0], name);
        // How soon the verifier finds that it has been somewhere before depends on what stands in front, too.
        const ratio = Number(ownCount) / Number(count);
        assert.ok(ratio > 1 && ratio < 1.5, `${name}: ${ownCount} instead of ${count} instructions`);
      }
    } finally {
      await watch.end();
      bpfns(['rm', 'kept']);
    }
    assert.equal(readFileSync(log, 'utf8').match(/\(BPF_PROG_LOAD/g)?.length, native.size);
  });

  test('what a second thread exchanges while the agent looks is never handed over', () => {
    const { stdout } = bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, guestPath('tracing'), 'exchange']);
    assert.equal(stdout, 'confined some, others some, wrong 0\n');
  });

  test('a guest that keeps CAP_PERFMON or CAP_SYS_ADMIN cannot: run takes them from whatever it executes', () => {
    const { stdout } = bpfns([
      'run',
      '--tracing=own',
      '--',
      'grep',
      '-E',
      '^Cap(Inh|Prm|Eff|Bnd|Amb)',
      '/proc/self/status',
    ]);
    const both = (1n << 21n) | (1n << 38n);
    for (const [, mask] of stdout.matchAll(/:\t(\w+)/g)) assert.equal(BigInt(`0x${mask}`) & both, 0n);
  });

  test('programs belong to the guest, whose namespace and pid the host sees', async () => {
    const guest = await startBpftrace('tracepoint:raw_syscalls:sys_enter { @ = count(); }');
    const { objects } = JSON.parse(bpfns(['prog', 'list', '--json']).stdout);
    const own = objects.filter((each: { namespace: { id: number } }) => each.namespace.id !== 0);
    assert.equal(own.length, 2);
    for (const { creator, type } of own) {
      assert.equal(creator.comm, 'bpftrace');
      assert.equal(creator.uid, 0);
      assert.ok(type === 'tracepoint' || type === 'perf_event');
    }
    const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
    assert.ok(namespaces.some(({ tracing }: { tracing: string }) => tracing === 'own'));
    assert.match(bpfns(['ls']).stdout, /^ID .*\bTRACING\b.*\n(?:.*\n)*.* own\b/);
    await guest.end();
  });

  test('the memory of such programs is shown with each, with the sum and its bound', async () => {
    const guest = await startBpftrace('tracepoint:raw_syscalls:sys_enter { @ = count(); }');
    const { objects } = JSON.parse(bpfns(['prog', 'list', '--json']).stdout);
    const program = objects.find(
      (each: { type: string; namespace: { id: number } }) => each.type === 'tracepoint' && each.namespace.id !== 0,
    );
    assert.equal(JSON.parse(bpfns(['who', 'prog', String(program.hostId), '--json']).stdout).memory, 4096);
    const { stdout } = bpfns(['who', 'prog', String(program.hostId)]);
    assert.match(stdout, /^ {2}memory {8}4\.0K, charged to the agent, which loaded it$/m);
    assert.match(stdout, /^ {2}such memory {3}8\.0K of 64M in namespace \d+, with all below it$/m);
    await guest.end();
  });
});

describe('tracing=none', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('no tracing program and no event', () => {
    for (const [name, [errno]] of results('hostile', 'none')) {
      if (/^helper|^type|^k|^plain/.test(name)) assert.equal(errno, EPERM, name);
    }
    for (const [name, [errno]] of results('perf', 'none')) assert.equal(errno, EPERM, name);
  });
});

describe('namespaces below', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('trace no more than their parent', () => {
    const inside = bpfns(['run', '--tracing=own', '--', bpfnsPath, 'run', '--tracing=host', '--', 'true']);
    assert.match(inside.stderr, /inside a namespace --tracing is as in that/);
    bpfns(['create', 'traced', '--tracing=own']);
    const below = bpfns(['run', '--parent=traced', '--tracing=host', '--', 'true']);
    assert.match(below.stderr, /namespaces below 'traced' have tracing=own/);
    const { stdout } = bpfns(['run', '--parent=traced', '--', ...nobodyWithBpfAlone, guestPath('tracing'), 'hostile']);
    assert.match(stdout, /^helper-109 13 /m);
    bpfns(['rm', 'traced']);
  });
});
