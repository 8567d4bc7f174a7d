/** `bpfns daemon`: configuration, readiness, metrics, events, and replacement by another daemon. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { check } from '../../src/sys/errno.js';
import { bind, close, read, socket } from '../../src/sys/libc.js';
import { type Watch, watch } from '../../src/sys/poll.js';
import { addressLength, unixAddress } from '../../src/sys/unix-address.js';
import { allRight, HANG, startGuest } from '../support/crash-guests.js';
import { Daemon } from '../support/daemons.js';
import {
  agentGone,
  agentsOf,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  namespaceNames,
  removePins,
  runDir,
  skipReason,
  startInNamespace,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';
import { eventsFromNow, followEvents, getMetrics } from '../support/watching.js';

const file = `/tmp/bpfns-test-${process.pid}.toml`;
const metrics = `/tmp/bpfns-test-${process.pid}.sock`;

const agent = (): string => agentsOf(runDir ?? '').join();

/** The other end of sd_notify(3). */
class Manager {
  readonly told: string[] = [];
  readonly #path: string;
  readonly #fd: number;
  readonly #watch: Watch;

  constructor(path: string) {
    const [AF_UNIX, SOCK_DGRAM] = [1, 2];
    this.#path = path;
    this.#fd = check(socket(AF_UNIX, SOCK_DGRAM, 0), 'socket', 'no socket');
    check(bind(this.#fd, unixAddress(path), addressLength(path)), 'bind', path);
    const message = Buffer.alloc(4096);
    const take = (): void => void this.told.push(message.toString('utf8', 0, read(this.#fd, message, message.length)));
    this.#watch = watch(this.#fd, take, () => undefined);
  }

  close(): void {
    this.#watch.close();
    close(this.#fd);
    rmSync(this.#path);
  }
}

describe('bpfns daemon', { skip: skipReason }, () => {
  leavesNothingBehind();
  let daemon: Daemon;

  before(async () => {
    writeFileSync(file, `[log]\nformat = "json"\n[metrics]\nlisten = "unix:${metrics}"\n`);
    daemon = new Daemon(['--config', file]);
    await daemon.ready();
  });
  after(async () => {
    removePins();
    await until(() => bpfns(['ls']).stdout.trimEnd().split('\n').length === 2, 'namespaces are left');
    for (const pid of agentsOf(runDir ?? '')) process.kill(Number(pid), 'SIGTERM');
    await until(() => agent() === '', 'the daemon has not ended');
    for (const path of [file, metrics]) rmSync(path, { force: true });
  });

  /** What it says of a configuration with which it must not start, and the path of that. */
  function refusalOf(configuration: string, flag: string): { readonly stderr: string; readonly wrong: string } {
    const wrong = `${file}.wrong`;
    writeFileSync(wrong, configuration);
    const { status, stderr } = bpfns(['daemon', flag, '--config', wrong]);
    rmSync(wrong);
    assert.equal(status, 1);
    return { stderr, wrong };
  }

  test('with a mistake in its configuration tells file, line and key, and does not start', () => {
    const { stderr, wrong } = refusalOf('[log]\nlevle = "info"\n', '--check-config');
    assert.equal(stderr, `bpfns: ${wrong}:2: log.levle: there is no such key\n`);
  });

  test('whose configuration names a group that there is not says so, and does not start', () => {
    const { stderr, wrong } = refusalOf('[control]\nread-only-group = "nobodys"\n', '--replace');
    assert.equal(
      stderr,
      `bpfns: ${wrong}: control.read-only-group: there is no group 'nobodys': groupadd(8) makes one\n`,
    );
  });

  test('that runs is not joined by a second: that fails with one line', () => {
    const { status, stderr } = bpfns(['daemon', '--config', file]);
    assert.equal(status, 1);
    assert.equal(stderr, `bpfns: a daemon is running (process ${agent()}); 'bpfns daemon --replace' takes its place\n`);
  });

  test('logs as configured', () => {
    const [line = ''] = daemon.log.split('\n');
    const { level, message } = JSON.parse(line) as Record<string, string>;
    assert.deepEqual([level, message], ['info', 'ready']);
  });

  test('counts calls by command and result', async () => {
    assert.equal(inNamespace('bpftool map list').status, 0);
    assert.match(
      await getMetrics(metrics),
      /^bpfns_trapped_calls_total{command="MAP_GET_NEXT_ID",result="ENOENT"} [1-9]/m,
    );
  });

  test('tells of namespaces and objects as they come and go', async () => {
    const events = await eventsFromNow();
    const script = 'bpftool map create $P/m type hash key 4 value 4 entries 1 name told; bpftool map list; rm $P/m';
    inNamespace(script, { args: ['--name', 'told'] });
    const ofIt = (wanted: string): unknown =>
      events.seen().find(({ event, path }) => event === wanted && path === 'told')?.namespace;
    await until(() => ofIt('namespace-gone') !== undefined, 'the end has not been told');
    const id = ofIt('namespace-created');
    const created = events
      .seen()
      .find(({ event, kind, namespace }) => event === 'object-created' && kind === 'map' && namespace === id);
    assert.equal(created?.id, 1);
    const isGone = (): boolean =>
      events.seen().some(({ event, hostId }) => event === 'object-gone' && hostId === created?.hostId);
    await until(isGone, 'the end of its map has not been told');
    events.stop();
  });

  test('tells of a call that is refused, and counts it', async () => {
    const events = followEvents();
    const withoutRights = [
      'setpriv',
      '--reuid=65534',
      '--clear-groups',
      '--bounding-set=-all',
      'bpftool',
      'map',
      'list',
    ];
    await until(() => {
      assert.notEqual(bpfns(['run', '--', ...withoutRights]).status, 0);
      return events.seen().some(({ event, command }) => event === 'call-refused' && command === 'MAP_GET_NEXT_ID');
    }, 'no event has come');
    events.stop();
    assert.match(await getMetrics(metrics), /^bpfns_refused_calls_total{command="MAP_GET_NEXT_ID"} [1-9]/m);
  });

  test('tells why a tracing program is refused, and counts that', async () => {
    const events = await eventsFromNow();
    bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, guestPath('tracing'), 'hostile']);
    const reason = 'unknown func bpf_trace_printk#6 (instruction 1): tracing=own refuses it, ';
    const isTold = (): boolean =>
      events.seen().some(({ event, command, reason: why }) => {
        return event === 'tracing-refused' && command === 'PROG_LOAD' && String(why).startsWith(reason);
      });
    await until(isTold, 'the reason has not been told');
    events.stop();
    assert.match(await getMetrics(metrics), /^bpfns_tracing_refused_total [1-9]\d/m);
  });

  test('is replaced ten times by another, and guests get every answer', { timeout: limit(300_000) }, async (t) => {
    const guests = ['list', 'list', 'list', 'create', 'nest'].map((role, i) => startGuest(`up${i}`, role));
    const areThere = (): boolean => guests.every(({ name }) => namespaceNames().includes(name));
    await until(areThere, 'the guests have not started', 120);
    let current = daemon;
    for (let i = 0; i < 10; i++) {
      const earlier = agent();
      const next = new Daemon(['--replace', '--config', file]);
      await next.ready();
      assert.equal(await current.ended(), 0);
      assert.notEqual(agent(), earlier);
      current = next;
    }
    const { calls, longest } = await allRight(guests);
    t.diagnostic(`${calls} calls, the longest took ${longest} ms`);
    assert.ok(longest < HANG);
  });

  test('that hangs is not waited for by the one that is to replace it', { timeout: limit(120_000) }, () => {
    process.kill(Number(agent()), 'SIGSTOP');
    const { status, stderr } = bpfns(['daemon', '--replace']);
    process.kill(Number(agent()), 'SIGCONT');
    assert.equal(status, 1);
    assert.match(stderr, /^bpfns: the agent that runs does not answer: kill -9 it/);
  });

  test('tells its service manager that it is ready, alive and stopping', async () => {
    const manager = new Manager(`${file}.notify`);
    const env = { NOTIFY_SOCKET: `${file}.notify`, WATCHDOG_USEC: '200000' };
    const next = new Daemon(['--replace'], { env });
    await until(() => manager.told.includes('WATCHDOG=1'), 'no sign of life');
    removePins();
    void next.end();
    await until(() => manager.told.includes('STOPPING=1'), 'no word at the end');
    manager.close();
    assert.deepEqual(
      manager.told.filter((text) => text !== 'WATCHDOG=1'),
      ['FDSTORE=1\nFDNAME=journal', 'READY=1\nSTATUS=Serving', 'STOPPING=1'],
    );
  });
});

describe('bpfns daemon, started while an agent that bpfns run has started serves guests', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('takes over, says so in its log, and stays when the guests have ended', async () => {
    const guest = await startInNamespace('echo ready; read -r _ || true; bpftool map list; echo "status $?"');
    const earlier = agent();
    const daemon = await Daemon.configured('');
    assert.match(daemon.log, new RegExp(`^\\S+ info taking over from an agent .* pid=${earlier}$`, 'm'));
    assert.notEqual(agent(), earlier);
    await guest.end();
    assert.match(guest.output(), /^status 0$/m);
    await until(() => bpfns(['ls']).stdout.trimEnd().split('\n').length === 2, 'the namespace is left');
    assert.ok(daemon.isRunning);
    assert.equal(await daemon.end(), 0);
  });
});

describe('bpfns daemon, which cannot read for want of memory which tasks there are', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('ends no namespace when it stops: the next one finds it with its task', async () => {
    const failing = ['-e', 'inject=read:error=ENOMEM', '-P', 'anon_inode:bpf_iter'];
    // -D: strace is not the parent of what it traces.
    const program = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=read', ...failing, bpfnsPath];
    const daemon = new Daemon([], { program });
    await daemon.ready();
    const guest = await startInNamespace('echo ready; read -r _ || true');
    const names = namespaceNames();
    assert.equal(await daemon.end(), 0);

    const next = await Daemon.configured('');
    assert.deepEqual(namespaceNames(), names);
    await guest.end();
    await next.stop();
  });
});

describe('bpfns daemon that is told to end before it serves', { skip: skipReason }, () => {
  leavesNothingBehind();

  const managers: ReadonlyArray<readonly [who: string, env: NodeJS.ProcessEnv]> = [
    ['by hand', {}],
    ['by its service manager', { NOTIFY_SOCKET: '@nobody' }],
  ];
  for (const [who, env] of managers) {
    test(`${who} ends, and is no obstacle to 'bpfns run'`, async () => {
      const daemon = new Daemon([], { env });
      await until(() => agent() !== '', 'no agent has started');
      assert.equal(await daemon.end(), 0);
      assert.doesNotMatch(daemon.log, / info ready$/m, 'it served already');
      assert.equal(agent(), '');
      assert.equal(inNamespace('true').status, 0);
      await agentGone();
    });
  }
});
