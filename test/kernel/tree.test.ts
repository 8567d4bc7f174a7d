/** Objects in trees of namespaces: the RFC's worked example, the deepest chain, siblings, a race of creators. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isSameOrAncestor } from '../../src/model/namespaces.js';
import { Guest } from '../support/guest.js';
import { asContainerUser, bpfns, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';

interface Listed {
  readonly hostId: number;
  readonly id: number;
  readonly namespace: { readonly path: string };
}

function listed(kind: string, namespace: string): Listed[] {
  return JSON.parse(bpfns([kind, 'list', '--ns', namespace, '--json']).stdout).objects;
}

function bpftool(...args: string[]): { id: number; map_ids?: number[]; prog_id?: number } {
  return JSON.parse(run(['bpftool', '-j', ...args]).stdout);
}

const MAX_LEVEL = 32;

describe('trees of namespaces', { skip: skipReason }, () => {
  leavesNothingBehind();

  test("the RFC's worked example: ids agree with each other in the child, its parent, and on the host", async () => {
    const guest = Guest.bpfns(['run', '--name', 'web', '--', ...asContainerUser, guestPath('tree'), 'example']);
    await guest.printed('ready');
    assert.deepEqual(guest.lines, [
      'child: link 1 to prog 1; prog 1 uses map 1',
      'child: link 2 to prog 2; prog 2 uses map 2',
      'parent: link 1 to prog 1; prog 1 uses map 2',
      'parent: link 2 to prog 2; prog 2 uses map 3',
      'ready',
    ]);
    const hostId = (kind: string, id: number): number =>
      listed(kind, 'web').find((object) => object.namespace.path !== 'web' && object.id === id)?.hostId ?? 0;
    for (const n of [1, 2]) {
      assert.deepEqual(bpftool('prog', 'show', 'id', String(hostId('prog', n))).map_ids, [hostId('map', n)]);
      assert.equal(bpftool('link', 'show', 'id', String(hostId('link', n))).prog_id, hostId('prog', n));
      const { visibleIn } = JSON.parse(bpfns(['who', 'map', String(hostId('map', n)), '--json']).stdout);
      assert.deepEqual(
        visibleIn.map(({ id }: { id: number }) => id),
        [hostId('map', n), n + 1, n],
      );
    }
    assert.equal(await guest.end(), 0);
  });

  test('a chain of 33 levels: one object has an id at each and is found by it; one level more is ENOSPC', () => {
    const { stdout } = bpfns(['run', '--', guestPath('tree'), 'chain']);
    const levels = Array.from({ length: MAX_LEVEL }, (_, i) => MAX_LEVEL - i);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      `level ${MAX_LEVEL}: ENOSPC`,
      // Each level above it has a map of its own, created earlier.
      ...levels.map((level) => `level ${level}: map ${MAX_LEVEL + 1 - level}, by its id ${MAX_LEVEL + 1 - level}`),
    ]);
  });

  test("three siblings with each other's fds in hand: id 0, never a number of their own", () => {
    const { stdout } = bpfns(['run', '--', guestPath('tree'), 'siblings']);
    assert.deepEqual(stdout.trimEnd().split('\n').sort(), [
      'sibling 1 sees 1 0 0 0 0 0',
      'sibling 2 sees 0 1 2 0 0 0',
      'sibling 3 sees 0 0 0 1 2 3',
    ]);
  });

  test('8 processes create at once, one a level: every level counts from 1 without a gap or a double', async () => {
    const guest = Guest.bpfns(['run', '--name', 'race', '--', guestPath('tree'), 'race']);
    await guest.printed('ready');
    const { readRecords } = await import('../../src/host/inventory.js');
    const { model } = readRecords();
    const own = new Map(guest.lines.slice(0, -1).map((line) => [levelOf(line), idsOf(line)]));
    const top = model.find('race');
    for (const namespace of model.all().filter((each) => top && isSameOrAncestor(top, each))) {
      // The order counts what the namespace and those below it created.
      const below = 8 - namespace.level + 1;
      assert.deepEqual(numbersOf(namespace.numbers.map), range(100 * below));
      // A process sees its own objects in the order of their creation.
      const mine = own.get(namespace.level) ?? [];
      assert.deepEqual(
        [...mine].sort((a, b) => a - b),
        mine,
      );
      assert.deepEqual(
        [...namespace.owned.map].map((host) => model.idIn(namespace, 'map', host)).sort(ascending),
        mine,
      );
    }
    assert.equal(own.size, 8);
    assert.equal(await guest.end(), 0);
  });
});

const ascending = (a: number, b: number): number => a - b;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
const levelOf = (line: string): number => Number(/^level (\d+):/.exec(line)?.[1]);
const idsOf = (line: string): number[] => (line.split(': ')[1] ?? '').split(' ').map(Number);

function numbersOf(numbers: { next(start: number): { id: number } | undefined }): number[] {
  const found: number[] = [];
  for (let next = numbers.next(0); next; next = numbers.next(next.id)) found.push(next.id);
  return found;
}
