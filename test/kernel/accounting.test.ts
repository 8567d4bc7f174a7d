/** The cost of BPF objects and their owners, asked over the control sockets while guests run. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Client, NamespaceUsage, ObjectUsage, Sample } from '../../src/control/api.js';
import { Daemon } from '../support/daemons.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  root,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';
import { startBpftrace } from '../support/tracing.js';

const GROUP = 'games'; // in every Debian, and used by nothing

function namespaceOf(sample: Sample, name: string): NamespaceUsage {
  const found = sample.namespaces.find((each) => each.name === name);
  assert.ok(found, `no namespace ${name}`);
  return found;
}

function objectsOf(sample: Sample, name: string, kind: string): ObjectUsage[] {
  const { id } = namespaceOf(sample, name);
  return sample.objects.filter((each) => each.namespace === id && each.kind === kind);
}

describe('accounting', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('while a daemon serves', daemonTests);
});

function daemonTests(): void {
  let daemon: Daemon;
  let client: Client;
  let guest: Guest;

  before(async () => {
    // Imported here, as it reads the run directory when it is loaded.
    const { Client: Class } = await import('../../src/control/api.js');
    client = new Class({ socket: `${runDir}/control-ro.sock` });
    daemon = await Daemon.configured(`[control]\nread-only-group = "${GROUP}"\n`);
    guest = await start([bpfnsPath, 'run', '--name', 'busy', '--', ...asContainerUser, guestPath('busy'), '3']);
  });
  after(async () => {
    await guest.end();
    await daemon.end();
  });

  test('a sample has what a namespace owns: kinds, memory, who made it', async () => {
    const sample = await client.list();
    const { objects, level, parent, memory } = namespaceOf(sample, 'busy');
    assert.deepEqual([objects, level, parent], [{ map: 3, prog: 1, link: 0, btf: 0 }, 1, 0]);
    const maps = objectsOf(sample, 'busy', 'map');
    assert.deepEqual(
      maps.map(({ id, name, type, creator }) => [id, name, type, creator?.comm, creator?.uid]),
      [1, 2, 3].map((id) => [id, 'busy', 'array', 'busy', 65534]),
    );
    const [program] = objectsOf(sample, 'busy', 'prog');
    assert.equal(
      memory,
      maps.reduce((sum, map) => sum + map.memory, program?.memory ?? 0),
    );
    assert.ok(maps.every((map) => map.memory > 0));
  });

  test('memory is what the kernel says in fdinfo', async () => {
    const sample = await client.list();
    const pid = guest.pid;
    const fdinfo = spawnSync('sh', [
      '-c',
      `cat /proc/$(pgrep -P ${pid} busy || echo ${pid})/fdinfo/*`,
    ]).stdout.toString();
    const told = [...fdinfo.matchAll(/memlock:\t(\d+)\n(?:map|prog)_id:\t(\d+)/g)].map(([, bytes]) => Number(bytes));
    const ours = [...objectsOf(sample, 'busy', 'map'), ...objectsOf(sample, 'busy', 'prog')].map(
      ({ memory }) => memory,
    );
    const inOrder = (all: readonly number[]): number[] => [...all].sort((a, b) => a - b);
    assert.deepEqual(inOrder(ours), inOrder(told));
  });

  test('while somebody watches, runs and run time are counted, by program and by namespace', async () => {
    const samples = client.watch({ interval: 100 });
    const next = async (): Promise<Sample> => {
      const { value } = await samples.next();
      assert.ok(value);
      return value;
    };
    const before = await next();
    assert.ok(before.counting);
    const runsIn = (sample: Sample): number => objectsOf(sample, 'busy', 'prog')[0]?.runs ?? 0;
    await guest.ask('run 1000', 'done');
    let now = before;
    // The first ones may have been taken before.
    for (const end = Date.now() + limit(30_000); runsIn(now) < runsIn(before) + 1000 && Date.now() < end; )
      now = await next();
    const [program] = objectsOf(now, 'busy', 'prog');
    assert.equal(runsIn(now) - runsIn(before), 1000);
    assert.ok((program?.runTime ?? 0) > 0 && (program?.runTime ?? 0) < 1);
    const { runs, runTime } = namespaceOf(now, 'busy');
    assert.equal(runs - namespaceOf(before, 'busy').runs, 1000);
    assert.ok(runTime > 0);
    await samples.return();
  });

  test('when nobody watches any more, the kernel counts no longer', async () => {
    await until(() => statisticsHolders() === 0, 'the statistics are still on');
    const before = objectsOf(await client.list(), 'busy', 'prog')[0]?.runs;
    await until(() => statisticsHolders() === 0, 'the statistics are still on');
    await guest.ask('run 500', 'done');
    assert.equal(objectsOf(await client.list(), 'busy', 'prog')[0]?.runs, before);
  });

  test('trapped calls are counted for the namespace', async () => {
    const { calls } = namespaceOf(await client.list({ objects: false }), 'busy');
    await guest.ask('list 20', 'done');
    assert.equal(namespaceOf(await client.list({ objects: false }), 'busy').calls - calls, 20);
  });

  test('a watcher is told of what comes and goes', { timeout: limit(120_000) }, async () => {
    const samples = client.watch({ interval: 100 });
    await samples.next();
    const other = await start([bpfnsPath, 'run', '--name', 'other', '--', ...asContainerUser, guestPath('busy')]);
    const waitFor = async (isThere: boolean): Promise<void> => {
      for await (const sample of { [Symbol.asyncIterator]: () => ({ next: () => samples.next() }) }) {
        const objects = sample.objects.filter(({ creator }) => creator?.comm === 'busy').length;
        const isKnown = sample.namespaces.some(({ name }) => name === 'other');
        if (isKnown === isThere && objects === (isThere ? 6 : 4)) return;
      }
    };
    await waitFor(true);
    await other.end();
    await waitFor(false);
    await samples.return();
  });

  test('who, task, status and statistics tell the rest', async () => {
    const [map] = objectsOf(await client.list(), 'busy', 'map');
    const report = await client.who('map', map?.hostId ?? 0);
    assert.deepEqual([report.id, report.namespace.name, report.creator?.comm], [1, 'busy', 'busy']);
    assert.match(report.keptAliveBy.join(), /a file descriptor of busy/);
    assert.equal((await client.task(report.users[0]?.pid ?? 0)).path, 'busy');
    assert.equal((await client.task(process.pid)).path, 'init');
    assert.equal((await client.status()).namespaces, 2);
    const { commands } = await client.statistics();
    assert.ok((commands.find(({ command }) => command === 'MAP_GET_NEXT_ID')?.results.ok ?? 0) >= 20);
    await assert.rejects(client.who('map', 0x7ffffffe), { code: 'ENOENT' });
    await assert.rejects(client.graph('map', 0x7ffffffe), { code: 'ENOENT' });
    await assert.rejects(client.task(0x7ffffffe), { code: 'ESRCH' });
  });

  test('the read-only socket is open to the group, and to nobody else', () => {
    const { gid, mode } = statSync(client.socket);
    assert.deepEqual([gid > 0, mode & 0o777, statSync(runDir ?? '').mode & 0o777], [true, 0o660, 0o710]);
    assert.equal(statSync(`${runDir}/agent.sock`).mode & 0o777, 0o600);
    const asUser = (group: string): string => {
      const script = `import('${root}build/js/src/control/api.js').then(({ Client }) => new Client().list()).then(({ namespaces }) => console.log(namespaces.length), ({ code }) => console.log(code))`;
      const { stdout, stderr } = spawnSync(
        'setpriv',
        ['--reuid=65534', `--regid=${group}`, '--clear-groups', process.execPath, '-e', script],
        { encoding: 'utf8', env: { ...process.env, BPFNS_RUN_DIR: runDir } },
      );
      return stdout.trim() + stderr;
    };
    assert.equal(asUser(GROUP), '2');
    assert.equal(asUser('65534'), 'EACCES');
  });

  const asMember = (...args: readonly string[]): ReturnType<typeof run> =>
    run(['setpriv', '--reuid=65534', `--regid=${GROUP}`, '--clear-groups', bpfnsPath, ...args]);

  test('a member of the group lists namespaces, objects and processes, and changes nothing', async () => {
    const [map] = objectsOf(await client.list(), 'busy', 'map');
    const wanted: ReadonlyArray<readonly [args: readonly string[], shown: RegExp]> = [
      [['ls'], /^ *\d+ +busy +1 /m],
      [['ps'], /^ *\d+ +busy +busy$/m],
      [['map', 'list', '--ns', 'busy'], /^ *\d+ +\d+:busy +1 +array +busy +busy\[\d+\] /m],
      [['who', 'map', String(map?.hostId)], /kept alive by a file descriptor of busy/],
      [['who', 'map', String(map?.hostId), '--graph'], /label="fd"/],
      [['of', String((await client.processes())[0]?.pid)], / busy {2}level 1$/m],
    ];
    for (const [args, shown] of wanted) {
      const { status, stdout, stderr } = asMember(...args);
      assert.deepEqual([status, stderr], [0, ''], args.join(' '));
      assert.match(stdout, shown);
    }
    for (const args of [
      ['rm', 'busy'],
      ['create', 'x'],
      ['exec', 'busy', '--', 'true'],
    ]) {
      assert.match(asMember(...args).stderr, /needs root/);
    }
    const { stderr } = run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', bpfnsPath, 'ls']);
    assert.match(stderr, /^bpfns: this needs root, or a member of the group/);
  });

  test('a member of the group is told that the agent has loaded a program, and how much memory that may take', async () => {
    const tracer = await startBpftrace('tracepoint:raw_syscalls:sys_enter { @ = count(); }');
    const [program] = (await client.list()).objects.filter(
      ({ type, creator }) => type === 'tracepoint' && creator?.comm === 'bpftrace',
    );
    const { status, stdout, stderr } = asMember('who', 'prog', String(program?.hostId));
    await tracer.end();
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^ {2}created by {4}bpftrace\[\d+\], uid 0, at /m);
    assert.match(stdout, /^ {2}such memory {3}8\.0K of 64M in namespace \d+, with all below it$/m);
  });

  test('doctor says of the agent what the user may know', () => {
    const [, agent] = /^(agent: .*)$/m.exec(asMember('doctor').stdout) ?? [];
    assert.match(agent ?? '', /^agent: running, pid \d+, 1 namespaces$/);
    const { stdout } = run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', bpfnsPath, 'doctor']);
    assert.match(stdout, /^agent: only root, or a member of the read-only group, can ask it$/m);
  });

  test('a list shows what was made before it was asked for', async () => {
    for (let i = 0; i < 3; i++) {
      const before = (await client.list()).objects.length;
      const maps = run([
        'bpftool',
        'map',
        'create',
        `/sys/fs/bpf/bpfns-fresh-${process.pid}`,
        ...'type array key 4 value 4 entries 1 name fresh'.split(' '),
      ]);
      assert.equal(maps.status, 0, maps.stderr);
      const { objects } = await client.list();
      rmSync(`/sys/fs/bpf/bpfns-fresh-${process.pid}`);
      assert.ok(
        objects.some(({ name }) => name === 'fresh'),
        `${before} objects before`,
      );
      // The kernel drops a pin's reference a moment after the pin (RCU).
      const isListed = async (): Promise<boolean> => (await client.list()).objects.some(({ name }) => name === 'fresh');
      await until(async () => !(await isListed()), 'a map that is gone is listed');
    }
  });

  test('a namespace tells of its processes, and whether only objects keep it', async () => {
    const { tasks, orphaned, keep, tracing } = namespaceOf(await client.list(), 'busy');
    assert.deepEqual([tasks, orphaned, keep, tracing], [1, false, false, 'host']);
    const init = namespaceOf(await client.list(), 'init');
    assert.deepEqual([init.tasks, init.orphaned], [null, false]);
    const { id } = namespaceOf(await client.list(), 'busy');
    const processes = await client.processes();
    assert.deepEqual(
      processes.map(({ namespace, comm }) => [namespace, comm]),
      [[id, 'busy']],
    );
  });

  test('the read-only socket takes no request that changes something, and none from inside a namespace', async () => {
    const { AgentClient } = await import('../../src/control/client.js');
    const agent = await AgentClient.connect(client.socket);
    const request = { op: 'create', parent: 'init', name: 'x', pins: 'own', ownerUid: 0, maxNamespaces: 0 } as const;
    await assert.rejects(agent?.ask(request) ?? Promise.resolve(), { code: 'EACCES' });
    for (const op of ['handover', 'release'] as const) {
      await assert.rejects(agent?.ask({ op }) ?? Promise.resolve(), { code: 'EACCES' });
    }
    agent?.close();
    const script = `require('net').connect(process.argv[1]).on('data', (d) => console.log(String(d)))`;
    const { stdout } = bpfns(['run', '--', process.execPath, '-e', script, client.socket]);
    assert.match(stdout, /"code":"EPERM".*this is for the host/);
  });

  test('the example of the client follows it', () => {
    const { status, stdout, stderr } = run([process.execPath, `${root}examples/watch.mjs`, '1']);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^ {2}busy +\d+\.\d\d % CPU +\d+ KiB$/m);
  });

  test('`ls --tree` has a bar of memory', () => {
    assert.match(bpfns(['ls', '--tree']).stdout, /^ *\d+ +busy .* \d+(\.\d)?K +\[##########\]$/m);
  });

  test('`who --graph` draws what keeps an object alive', async () => {
    const [map] = objectsOf(await client.list(), 'busy', 'map');
    const { stdout, stderr } = bpfns(['who', 'map', String(map?.hostId), '--graph']);
    assert.match(bpfns(['who', 'map', String(map?.hostId), '--graph', '--json']).stderr, /cannot be used with/);
    assert.equal(stderr, '');
    assert.match(
      stdout,
      new RegExp(
        `^ {2}"map ${map?.hostId}" \\[shape=box, label="map ${map?.hostId} 'busy'\\\\narray\\\\nmap 1 in busy"`,
        'm',
      ),
    );
    assert.match(stdout, new RegExp(`^ {2}"process \\d+" -> "map ${map?.hostId}" \\[label="fd"\\];$`, 'm'));
  });

  test('readers who ask without end, and do not wait or read, do not keep root from its listings', async () => {
    const script = `
      const { connect } = require('net');
      const request = (op) => JSON.stringify({ version: 1, op, kind: 'map', objects: true }) + '\\n';
      const requests = ['processes', 'objects', 'list'].map((op) => request(op).repeat(20));
      const flood = (nth) => {
        const socket = connect(process.argv[1]).on('error', () => {});
        if (nth % 2) socket.pause();
        socket.write(requests[nth % 3]);
        setTimeout(() => { socket.destroy(); flood(nth + 1); }, 20);
      };
      for (let nth = 0; nth < 20; nth++) flood(nth);`;
    const asReader = ['--reuid=65534', `--regid=${GROUP}`, '--clear-groups', process.execPath, '-e', script];
    const flood = spawn('setpriv', [...asReader, client.socket], { stdio: 'inherit' });
    try {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      for (const args of [['ls'], ['map', 'list', '--ns', 'busy']]) {
        const { status, stdout, stderr } = bpfns(args);
        assert.deepEqual([status, stderr], [0, '']);
        assert.match(stdout, /busy/);
      }
      assert.equal(flood.exitCode, null);
    } finally {
      flood.kill('SIGKILL');
    }
    await until(() => statisticsHolders() === 0, 'the statistics are still on');
    assert.equal((await client.list()).namespaces.length, 2);
  });

  test('an agent that hangs does not hang `ls`', async () => {
    const { pid } = await client.status();
    process.kill(pid, 'SIGSTOP');
    try {
      const { stdout, stderr } = bpfns(['ls']);
      assert.equal(stderr, 'bpfns: the agent has not answered within 5000 ms; read from the kernel instead\n');
      assert.match(stdout, /^ *\d+ +busy +1 /m);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  test('one reader too many is told so', async () => {
    const { AgentClient } = await import('../../src/control/client.js');
    const readers = await Promise.all(Array.from({ length: 70 }, () => AgentClient.connect(client.socket)));
    const outcomes = await Promise.allSettled(
      readers.flatMap((reader) => (reader ? [reader.ask({ op: 'status' })] : [])),
    );
    const refused = outcomes
      .filter((each) => each.status === 'rejected')
      .map((each) => (each.reason as { code: string }).code);
    for (const reader of readers) reader?.close();
    assert.ok(refused.length >= 6 && refused.every((code) => code === 'EAGAIN'), String(refused));
  });
}

/** The number of fds of agents that keep the kernel's statistics on. */
function statisticsHolders(): number {
  const { stdout } = spawnSync('sh', ['-c', 'ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c bpf-stats'], {
    encoding: 'utf8',
  });
  return Number(stdout.trim());
}
