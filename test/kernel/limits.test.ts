/** Limits on the number of namespaces, and how far numbers are counted. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { nsId } from '../../src/model/ids.js';
import { mapLookup, mapUpdate, objGet } from '../../src/sys/bpf.js';
import { bpfns_counter, bpfns_counter_key, bpfns_id_key } from '../../src/sys/contract.gen.js';
import { close } from '../../src/sys/libc.js';
import { raiseIds } from '../support/crash-guests.js';
import { lacking } from '../support/features.js';
import { Guest } from '../support/guest.js';
import {
  asContainerUser,
  bpfns,
  guestPath,
  leavesNothingBehind,
  listed,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { times } from '../support/slowness.js';

describe('the most namespaces a user may own', { skip: skipReason }, () => {
  leavesNothingBehind();
  // The first command starts the agent, with its settings.
  const env = { BPFNS_MAX_NAMESPACES: '5' };

  test('at the limit a new one is refused with ENOSPC, and run says so', () => {
    const { stdout } = bpfns(['run', '--', guestPath('nest'), 'at-once', '20'], { env });
    assert.match(stdout, /^made 4, then ENOSPC$/m);
  });

  test('it counts by user: another has a limit of their own', () => {
    const { stdout } = bpfns(['run', '--', ...asContainerUser, guestPath('nest'), 'at-once', '20'], { env });
    assert.match(stdout, /^made 5, then ENOSPC$/m);
  });

  test('namespaces that ended do not count', () => {
    const one = bpfns(['run', '--', guestPath('nest'), 'many', '12'], { env });
    assert.equal(one.stdout, `caller 1\n${'child 1\n'.repeat(12)}`);
  });

  test('namespaces of calls that failed do not count', { skip: lacking('a clone3 whose bit 34 is free') }, () => {
    const two = bpfns(['run', '--', guestPath('nest'), 'failing', '12'], { env });
    assert.equal(two.stdout, 'caller 1\nEINVAL 12\nclone3 1\n');
  });

  test('--max-namespaces limits what is below one namespace, at any depth', () => {
    assert.equal(bpfns(['create', 'small', '--max-namespaces', '2']).status, 0);
    assert.match(bpfns(['exec', 'small', '--', guestPath('nest'), 'at-once', '20']).stdout, /^made 2, then ENOSPC$/m);
    assert.equal(bpfns(['create', 'one', '--parent', 'small']).status, 0);
    assert.equal(bpfns(['create', 'two', '--parent', 'small/one']).status, 0);
    const { status, stderr } = bpfns(['create', 'three', '--parent', 'small/one/two']);
    assert.equal(status, 1);
    assert.match(stderr, /no more namespaces.*ENOSPC/);
    for (const name of ['small/one/two', 'small/one', 'small']) assert.equal(bpfns(['rm', name]).status, 0);
  });
});

describe('a guest at its limit that goes on asking', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is refused each time, and gets a namespace once the one it had has ended', () => {
    bpfns(['create', 'small', '--max-namespaces', '1']);
    const { stdout } = bpfns(['exec', 'small', '--', guestPath('exhaust'), 'namespaces']);
    bpfns(['rm', 'small']);
    assert.equal(stdout, 'ENOSPC 200\nroom\n');
  });
});

describe('hundreds of namespaces at once', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('keep nobody from making one, running a command, or looking', async () => {
    bpfns(['create', 'first']);
    const { AgentClient } = await import('../../src/control/client.js');
    const client = await AgentClient.connect();
    const names = Array.from({ length: 400 }, (_, i) => `many${i}`);
    const empty = { parent: 'init', pins: 'own', tracing: 'host', ownerUid: 0, maxNamespaces: 0 } as const;
    for (const name of names) await client?.ask({ op: 'create', name, ...empty });
    assert.deepEqual(bpfns(['create', 'last']), { status: 0, stdout: '', stderr: '' });
    assert.equal(bpfns(['run', '--', 'echo', 'runs']).stdout, 'runs\n');
    assert.match(bpfns(['ls']).stdout, / many399 .* kept$/m);
    for (const namespace of ['first', 'last', ...names]) await client?.ask({ op: 'remove', namespace });
    client?.close();
  });
});

describe('numbers', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('of objects that the ring of events had no room for are known with the next call', () => {
    raiseIds();
    const { stdout, stderr } = bpfns(['run', '--', guestPath('burst'), '8000']);
    assert.equal(stdout, '8000\n', stderr);
  });

  test('are counted up to where the kernel was when the namespace began; behind that they are host ids', async () => {
    assert.equal(bpfns(['create', 'count']).status, 0);
    const guest = Guest.bpfns(['exec', 'count', '--', guestPath('count')]);
    const create = async (count: number): Promise<number[]> => {
      const before = guest.lines.length;
      await guest.ask(`create ${count}`);
      return guest.lines.slice(before, -1).map(Number);
    };
    assert.deepEqual(await create(100), range(1, 100));
    await guest.ask('close 3');
    await forgotten('count', 3);
    assert.deepEqual(await create(1), [101], '3 is free, and not given out again');
    // Let it have handed out all but the last three, which may be host ids of live objects.
    const floor = skipNumbers('count', 3);
    const ids = await create(5);
    const hostIdOf = new Map(listed('map', 'count').map(({ id, hostId }) => [id, hostId]));
    for (const id of ids) assert.ok(id > floor ? hostIdOf.get(id) === id : id > floor - 3, `${id} of ${ids.join()}`);
    assert.ok(ids.slice(3).every((id) => id > floor));
    assert.equal(hostIdOf.size, 105);
    // As if the kernel had counted round, and these were still in use.
    const newest = ids.at(-1) ?? 0;
    takeNumbers('count', range(newest + 1, newest + 100));
    const [odd = 0] = await create(1);
    assert.ok(odd > 0 && odd <= newest && !hostIdOf.has(odd), `${odd} was free`);
    await guest.end();
    assert.equal(bpfns(['rm', 'count']).status, 0);
  });
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function pinnedMap(name: string, use: (fd: number) => number): void {
  const fd = objGet(`${runDir}/bpf/maps/${name}`);
  assert.ok(fd >= 0);
  assert.equal(use(fd), 0);
  close(fd);
}

function namespaceCalled(name: string): number {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
  return namespaces.find((each: { name: string }) => each.name === name).id;
}

/** Lets a namespace have counted all but so many numbers of maps; returns the last. */
function skipNumbers(name: string, left: number): number {
  const key = Buffer.alloc(bpfns_counter_key.sizeof);
  key.writeUInt32LE(namespaceCalled(name), bpfns_counter_key.ns);
  const value = Buffer.alloc(bpfns_counter.sizeof);
  pinnedMap('counters', (fd) => mapLookup(fd, key, value));
  const floor = value.readUInt32LE(bpfns_counter.floor);
  value.writeBigUInt64LE(BigInt(floor - left), bpfns_counter.allocated);
  pinnedMap('counters', (fd) => mapUpdate(fd, key, value));
  return floor;
}

/** Takes numbers of maps that no map has. */
function takeNumbers(name: string, numbers: readonly number[]): void {
  const key = Buffer.alloc(bpfns_id_key.sizeof);
  key.writeUInt32LE(namespaceCalled(name), bpfns_id_key.ns);
  for (const number of numbers) {
    key.writeUInt32LE(number, bpfns_id_key.id);
    pinnedMap('ids', (fd) => mapUpdate(fd, key, Buffer.alloc(4)));
  }
}

/** Waits until the agent has found that the object of this number is gone. */
async function forgotten(name: string, number: number): Promise<void> {
  const { readRecords } = await import('../../src/host/inventory.js');
  await until(
    () => readRecords().model.find(name)?.numbers.map.hostOf(nsId(number)) === undefined,
    'a dead object still has its number',
  );
}

describe('a namespace that makes and drops objects as fast as it can', { skip: skipReason }, () => {
  leavesNothingBehind();
  /** More objects than a namespace may own at a time, and than the recorder's tables hold. */
  const COUNT = times(300_000);

  test('loses none of them to init, whose they would be without a number', async () => {
    const { stdout } = bpfns(['run', '--', guestPath('observe'), 'churn', String(COUNT)], { timeoutSeconds: 900 });
    const [, id = '0'] = /^id (\d+)$/m.exec(stdout) ?? [];
    // COUNT + 1, or a host id if the machine has not made so many before.
    assert.ok(Number(id) > COUNT, stdout);
    // Its end is noticed once its dead have been found, which is done in slices.
    const { readRecords } = await import('../../src/host/inventory.js');
    const { until } = await import('../support/host.js');
    await until(() => !existsSync(runDir) || readRecords().model.all().length === 1, 'the namespace stays', 300);
  });
});
