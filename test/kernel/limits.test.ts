/** Limits on the number of namespaces, and the wrap of the numbers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lacking } from '../support/features.js';
import { Guest } from '../support/guest.js';
import { asContainerUser, bpfns, guestPath, leavesNothingBehind, run, runDir, skipReason } from '../support/host.js';
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

const MAX_ID = 0x7ffffffe;

describe('numbers', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('of objects that the ring of events had no room for are known with the next call', () => {
    const { stdout, stderr } = bpfns(['run', '--', guestPath('burst'), '8000']);
    assert.equal(stdout, '8000\n', stderr);
  });

  test('are not used again before the wrap; behind INT_MAX - 1 comes 1, and those in use are skipped', async () => {
    assert.equal(bpfns(['create', 'wrap']).status, 0);
    const guest = Guest.bpfns(['exec', 'wrap', '--', guestPath('count')]);
    const create = async (count: number): Promise<number[]> => {
      const before = guest.lines.length;
      await guest.tell(`create ${count}`);
      return guest.lines.slice(before, -1).map(Number);
    };
    assert.deepEqual(await create(100), range(1, 100));
    await guest.tell('close 3');
    assert.deepEqual(await create(1), [101], '3 is free, and not given out before the wrap');
    // Sets its counter so that all numbers but three are handed out.
    setCounter('wrap', 'map', BigInt(MAX_ID - 3));
    assert.deepEqual(await create(3), range(MAX_ID - 2, MAX_ID));
    await guest.tell('close 101');
    // Now 1, 2 and 4 to 100 are in use.
    await forgotten('wrap', [3, 101]);
    assert.deepEqual(await create(3), [3, 101, 102]);
    await guest.end();
    assert.equal(bpfns(['rm', 'wrap']).status, 0);
  });
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Sets how many numbers of a kind a namespace has handed out. */
function setCounter(name: string, kind: 'map', allocated: bigint): void {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
  const { id } = namespaces.find((each: { name: string }) => each.name === name);
  const key = Buffer.alloc(8);
  key.writeUInt32LE(id, 0);
  key.writeUInt32LE({ map: 0 }[kind], 4);
  const value = Buffer.alloc(16);
  value.writeBigUInt64LE(allocated, 0);
  const bytes = (buffer: Buffer): string[] => [...buffer].map(String);
  const pinned = ['pinned', `${runDir}/bpf/maps/counters`];
  const done = run(['bpftool', 'map', 'update', ...pinned, 'key', ...bytes(key), 'value', ...bytes(value)]);
  assert.equal(done.status, 0, done.stderr);
}

/** Waits until the agent notices that the objects with these numbers are gone. */
async function forgotten(name: string, numbers: readonly number[]): Promise<void> {
  const { until } = await import('../support/host.js');
  const { readRecords } = await import('../../src/host/inventory.js');
  await until(() => {
    const { model } = readRecords();
    return numbers.every((id) => model.find(name)?.numbers.map.hostOf(id as never) === undefined);
  }, 'dead objects still have their numbers');
}

describe('a namespace that makes and drops objects as fast as it can', { skip: skipReason }, () => {
  leavesNothingBehind();
  /** More objects than a namespace may own at a time, and than the recorder's tables hold. */
  const COUNT = times(300_000);

  test('loses none of them to init, whose they would be without a number', () => {
    const { stdout } = bpfns(['run', '--', guestPath('observe'), 'churn', String(COUNT)], { timeoutSeconds: 300 });
    assert.equal(stdout, `id ${COUNT + 1}\n`);
  });
});
