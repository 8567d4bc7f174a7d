/**
 * Upgrades between two versions whose recorders have other layouts (test/layout), while guests run:
 * docs/decisions/0023-upgrade.md.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import type { StatusReply } from '../../src/control/protocol.js';
import { allRight, allRunning, type CrashGuest, HANG, raiseIds, startGuest } from '../support/crash-guests.js';
import { Daemon } from '../support/daemons.js';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  inNamespace,
  leavesNothingBehind,
  listed,
  namespaceNames,
  pinDirectory,
  removePins,
  root,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { limit, times } from '../support/slowness.js';

/** This version, and one with other layouts: by default made from this one. */
const versions = [bpfnsPath, process.env.BPFNS_EARLIER ?? `${root}build/other/bin/bpfns`] as const;
const [, otherPath] = versions;
/**
 * Where the agent that takes over is killed: before its nth system call of a kind. It prepares (mkdir), exchanges maps
 * and links (renameat2), detaches the earlier hooks and removes what is left (unlink, rmdir).
 */
const KILLS: ReadonlyArray<readonly [call: string, nth: number, path?: string]> = [
  // The supervisor makes directories too, as often as it waits for the lock.
  ['mkdir', 3, `${runDir}/bpf/upgrade/maps`],
  ['renameat2', 1],
  ['renameat2', 2],
  ['unlink', 2],
  ['rmdir', 1],
  ['unlink', 9],
];
/** What the guests do while that happens; with 20 of them an emulated machine never gets to the agent. */
const ROLES = [
  ...Array<string>(times(8)).fill('list'),
  ...Array<string>(times(8)).fill('create'),
  ...Array<string>(times(4)).fill('nest'),
  'load',
];
/** There and back. */
const UPGRADES = 2 * times(Number(process.env.BPFNS_UPGRADES ?? 6) / 2);

const agent = (): string => agentsOf(runDir ?? '').join();

interface Summary {
  readonly id: number;
  readonly name: string;
  readonly level: number;
}

function topLevel(): Array<readonly [id: number, name: string]> {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout) as { namespaces: Summary[] };
  return namespaces.filter(({ level }) => level === 1).map(({ id, name }) => [id, name]);
}

async function started(guests: readonly CrashGuest[]): Promise<void> {
  await until(
    () => {
      allRunning(guests);
      const names = namespaceNames();
      return guests.every(({ name }) => names.includes(name));
    },
    'the guests have not started',
    120,
  );
}

/**
 * What the records say of the objects of a namespace, but for the time, of which the kernel has another
 * clock: each agent converts it anew, and it may be a millisecond off.
 */
const recorded = (namespace: string): unknown[] =>
  (['map', 'prog'] as const).flatMap((kind) =>
    listed(kind, namespace).map(({ id, hostId, name, creator, pins }) => {
      return { kind, id, hostId, name, creator: creator && { ...creator, time: '' }, pins };
    }),
  );

/** What those namespaces use of their budgets whose objects all live on. */
async function used(): Promise<unknown[]> {
  const { AgentClient } = await import('../../src/control/client.js');
  const client = await AgentClient.connect();
  const status = await client?.ask<StatusReply>({ op: 'status' });
  client?.close();
  return (status?.budgets ?? []).filter(({ path }) => /kept|list/.test(path)).sort((a, b) => a.namespace - b.namespace);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a daemon that replaces another, and whose agent is killed. */
async function startAndKill(program: string, call: string, nth: number, path?: string): Promise<Daemon> {
  const trace = `/tmp/bpfns-test-${process.pid}.trace`;
  // -D: strace is not the parent of what it traces, and that runs on when strace is gone.
  const where = ['-e', `inject=${call}:signal=KILL:when=${nth}`, ...(path ? ['-P', path] : [])];
  const strace = ['strace', '-D', '-f', '-o', trace, ...where, program];
  const daemon = new Daemon(['--replace'], { program: strace });
  const wasKilled = (): boolean => existsSync(trace) && readFileSync(trace, 'utf8').includes('killed by SIGKILL');
  for (const end = Date.now() + limit(120_000); !wasKilled() && Date.now() < end; ) await pause(5);
  await pause(100); // until the last of its threads has ended
  assert.ok(daemon.isRunning, `the daemon ended: ${daemon.log}`);
  // It would kill the next agent too.
  const tracer = /^TracerPid:\s*(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'latin1'))?.[1];
  if (Number(tracer) > 0) process.kill(Number(tracer), 'SIGKILL');
  assert.ok(wasKilled(), `the agent has not reached ${call} ${nth}: ${daemon.log}`);
  rmSync(trace);
  return daemon;
}

describe('an upgrade to another layout of the maps', { skip: skipReason }, () => {
  let daemon: Daemon;
  leavesNothingBehind(async () => {
    removePins();
    bpfns(['rm', 'kept']);
    await until(() => namespaceNames().length === 1, 'namespaces are left').catch(() => undefined);
    await daemon.end();
    await until(() => agent() === '', 'the daemon has not ended');
  });

  /** Has the other version, or this one again, take over. @returns its log */
  async function upgrade(program: string): Promise<string> {
    const next = new Daemon(['--replace'], { program: [program] });
    await next.ready().catch((error: unknown) => {
      throw new Error(`${String(error)}the earlier daemon: ${daemon.log}`);
    });
    await daemon.ended();
    daemon = next;
    return next.log;
  }

  before(async () => {
    raiseIds();
    daemon = await Daemon.configured('');
    assert.equal(bpfns(['create', 'kept']).status, 0);
    const script =
      'for i in 1 2 3; do bpftool map create $P/kept$i type hash key 4 value 4 entries 1 name kept$i; done';
    assert.equal(bpfns(['exec', 'kept', '--', 'sh', '-ec', script], { env: { P: pinDirectory() } }).status, 0);
  });

  test(`and back, ${UPGRADES} times: ${ROLES.length} guests get every answer right, and no id moves`, async (t) => {
    const guests = ROLES.map((role, i) => startGuest(`${role}${i}`, role));
    t.after(() => {
      for (const { process } of guests) process.kill();
    });
    await started(guests);
    const look = async (): Promise<Readonly<Record<string, unknown>>> => ({
      namespaces: topLevel(),
      kept: recorded('kept'),
      list0: recorded('list0'),
      used: await used(),
    });
    const earlier = await look();
    for (let i = 1; i <= UPGRADES; i++) {
      assert.match(await upgrade(versions[i % 2] ?? otherPath), /took over from another version/);
    }
    allRunning(guests);
    const later = await look();
    await pause(limit(50)); // so that one which has ended is noticed
    allRunning(guests);
    for (const what of Object.keys(earlier)) assert.deepEqual(later[what], earlier[what], `${what}, ${daemon.log}`);
    const { calls, longest } = await allRight(guests);
    t.diagnostic(`${calls} calls, the longest took ${longest} ms`);
    assert.ok(longest < HANG);
  });

  test('whose agent is killed in each of its steps is finished by the next agent', async (t) => {
    const guests = ['list', 'list', 'create', 'create', 'nest'].map((role, i) => startGuest(`k${role}${i}`, role));
    t.after(() => {
      for (const { process } of guests) process.kill();
    });
    await started(guests);
    const earlier = recorded('kept');
    for (const [i, [call, nth, path]] of KILLS.entries()) {
      const next = await startAndKill(versions[(i + 1) % 2] ?? otherPath, call, nth, path);
      await next.ready();
      allRunning(guests);
      daemon = next;
    }
    await upgrade(bpfnsPath);
    assert.deepEqual(recorded('kept'), earlier);
    await allRight(guests);
  });

  test('that dies with its supervisor before it took over leaves the earlier version what it had', async () => {
    const earlier = recorded('kept');
    const next = await startAndKill(otherPath, 'renameat2', 1);
    await next.end('SIGKILL');
    await until(() => agent() === '', 'an agent runs on');
    daemon = await Daemon.configured('');
    assert.doesNotMatch(daemon.log, /took over/);
    assert.deepEqual(recorded('kept'), earlier);
  });

  test('that cannot load its recorder is refused, and the daemon that runs goes on', () => {
    const broken = `${root}build/broken`;
    cpSync(`${root}build/other`, broken, { recursive: true });
    writeFileSync(`${broken}/build/lib/recorder.bpf.o`, 'no object file');
    const before = agent();
    const { status, stderr } = run([`${broken}/bin/bpfns`, 'daemon', '--replace']);
    rmSync(broken, { recursive: true });
    assert.equal(status, 1);
    assert.match(stderr, /^bpfns: cannot open '.*recorder\.bpf\.o'/);
    assert.equal(agent(), before);
    assert.equal(inNamespace('bpftool map list').status, 0);
  });

  test('down to a version that does not know the state is refused in one line, which says what to do', () => {
    const maps = `${runDir}/bpf/maps`;
    const [stamp = ''] = readdirSync(maps).filter((name) => name.startsWith('state-'));
    const newer = stamp.replace(/^state-\d+/, 'state-99');
    renameSync(`${maps}/${stamp}`, `${maps}/${newer}`);
    const before = agent();
    const { status, stderr } = bpfns(['daemon', '--replace']);
    renameSync(`${maps}/${newer}`, `${maps}/${stamp}`);
    assert.equal(status, 1);
    assert.match(stderr, /^bpfns: the recorder in .* is of a newer bpfns.*Start the newer one again.*\n$/);
    assert.equal(agent(), before);
  });
});
