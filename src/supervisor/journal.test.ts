import assert from 'node:assert/strict';
import { fstatSync, readSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Journal } from './journal.js';
import { createJournalFile } from './journal-file.js';

/** A journal, and what another process that takes it over would find. */
function journal(): { own: Journal; heir: () => Journal } {
  const fd = createJournalFile();
  assert.ok(fd >= 0);
  return { own: new Journal(fd), heir: () => new Journal(fd) };
}

function take(own: Journal, token: number, id: bigint): void {
  own.begin(token);
  own.current.notification.buffer.writeBigUInt64LE(id);
}

describe('the journal', () => {
  test('of an agent that has answered everything is empty', () => {
    const { own, heir } = journal();
    take(own, 1, 7n);
    own.current.end();
    assert.deepEqual(heir().unanswered(), []);
  });

  test('has the call that was being answered, with what was done for it', () => {
    const { own, heir } = journal();
    take(own, 3, 7n);
    own.current.child = 5;
    own.current.givenFd = 0;
    const [found] = heir().unanswered();
    assert.deepEqual([found?.token, found?.child, found?.givenFd], [3, 5, 0]);
  });

  test('keeps a call until it is ended, so that the next agent may die over it too', () => {
    const { own, heir } = journal();
    take(own, 3, 7n);
    assert.equal(heir().unanswered().length, 1);
    assert.equal(heir().unanswered()[0]?.countAttempt(), 1);
    assert.equal(heir().unanswered()[0]?.countAttempt(), 2);
    heir().unanswered()[0]?.end();
    assert.deepEqual(heir().unanswered(), []);
  });

  test('tells of nothing that was done for an earlier call', () => {
    const { own } = journal();
    take(own, 3, 7n);
    own.current.child = 5;
    own.current.givenFd = 4;
    own.current.end();
    take(own, 3, 8n);
    assert.deepEqual([own.current.child, own.current.givenFd], [0, -1]);
  });

  test('has room for calls whose answer takes longer, and finds each once if the agent died while moving one', () => {
    const { own, heir } = journal();
    take(own, 1, 7n);
    own.setAside(own.current).givenFd = 9;
    assert.deepEqual(
      heir()
        .unanswered()
        .map(({ givenFd }) => givenFd),
      [9],
    );
    take(own, 1, 8n);
    own.setAside(own.current);
    own.current.end();
    assert.equal(heir().unanswered().length, 2);
  });

  test('has what the current call came with, as it was before the answer was written over it', () => {
    const { own, heir } = journal();
    take(own, 1, 7n);
    own.attr.once(5, ({ buffer }) => buffer.write('asked'));
    const found = heir();
    assert.equal(
      found.attr.once(8, ({ buffer }) => buffer.write('answered')),
      5,
    );
    assert.equal(found.attr.buffer.toString('latin1', 0, 5), 'asked');
  });

  test('has zeros behind the input, whatever earlier and failed copies left there', () => {
    const { own } = journal();
    for (const [size, copied] of [
      [4096, 4096],
      [16, 8],
      [64, 0],
      [8, 8],
    ] as const) {
      take(own, 1, 7n);
      own.attr.once(size, ({ buffer }) => {
        buffer.fill(0xff, 0, size);
        return copied;
      });
      assert.equal(own.attr.buffer.indexOf(0), copied === 4096 ? -1 : copied);
      assert.ok(own.attr.buffer.subarray(copied).every((byte) => byte === 0));
    }
  });

  test('has zeros behind the input after a copy that was given up', () => {
    const { own } = journal();
    take(own, 1, 7n);
    const giveUp = ({ buffer }: { buffer: Buffer }): number => {
      buffer.fill(0xff, 0, 64);
      throw new Error('the caller is gone');
    };
    assert.throws(() => own.attr.once(64, giveUp));
    take(own, 1, 8n);
    own.attr.once(8, () => 8);
    assert.ok(own.attr.buffer.subarray(8).every((byte) => byte === 0));
  });

  test('has of a call what could be copied, be it nothing', () => {
    const { own, heir } = journal();
    take(own, 1, 7n);
    own.second.once(9, () => 0);
    assert.equal(
      heir().second.once(9, () => 9),
      0,
    );
  });

  for (const [what, next] of [
    ['the next call', (own: Journal) => take(own, 1, 8n)],
    ['one that is answered late', (own: Journal) => own.serve(own.setAside(own.current))],
  ] as const) {
    test(`does not take it for what ${what} came with`, () => {
      const { own, heir } = journal();
      take(own, 1, 7n);
      own.attr.once(9, () => 5);
      own.second.once(9, () => 6);
      next(own);
      assert.deepEqual([heir().attr.once(9, () => 1), heir().second.once(9, () => 2)], [1, 2]);
    });
  }

  test('that is full still serves: such a call only does not survive the agent', () => {
    const { own, heir } = journal();
    for (let id = 1n; id <= 4096n; id++) {
      take(own, 1, id);
      assert.equal(own.setAside(own.current).notification.buffer.readBigUInt64LE(), id);
      own.current.end();
    }
    assert.equal(heir().unanswered().length, 4095);
  });
});

const MAGIC = 0x4a46_5042;

/** The file of another version, whose slots are smaller. @param calls token and id of each, or undefined */
function journalOf(version: number, calls: ReadonlyArray<readonly [token: number, id: number] | undefined>): number {
  const fd = createJournalFile();
  const slotSize = 32;
  writeSync(fd, new Uint32Array([MAGIC, version, slotSize, calls.length]), 0, 16, 0);
  for (const [i, [token, id] = [0, 0]] of calls.entries()) {
    writeSync(fd, new Uint32Array([token, 2, id, 0, 9, 9, 9, 9]), 0, slotSize, 64 + i * slotSize);
  }
  return fd;
}

describe('a journal of another version', () => {
  const found = (own: Journal): unknown[] =>
    own
      .unanswered()
      .map(({ token, notification, isOfOtherVersion }) => [
        token,
        notification.buffer.readBigUInt64LE(),
        isOfOtherVersion,
      ]);

  for (const version of [0, 2, 99]) {
    test(`is taken over, be it older or newer (${version}): whose call it was, not what was done for it`, () => {
      const own = new Journal(journalOf(version, [[3, 7], undefined, [4, 8]]));
      const calls = [
        [3, 7n, true],
        [4, 8n, true],
      ];
      assert.deepEqual(found(own), calls);
      assert.deepEqual(found(new Journal(own.fd)), calls, 'an agent that dies over them leaves them to the next');
      assert.deepEqual(
        own.unanswered().map(({ givenFd, child }) => [givenFd, child]),
        [
          [-1, 0],
          [-1, 0],
        ],
      );
    });
  }

  test('is one of this version from then on', () => {
    const own = new Journal(journalOf(2, [[3, 7]]));
    for (const slot of own.unanswered()) slot.end();
    take(own, 1, 8n);
    assert.deepEqual(found(new Journal(own.fd)), [[1, 8n, false]]);
  });

  test('may have more slots than this one: the rest is lost', () => {
    const own = new Journal(journalOf(2, Array(5000).fill([3, 7])));
    assert.equal(own.unanswered().length, 4095);
  });

  test('is empty if it is of before the versions', () => {
    const fd = createJournalFile();
    writeSync(fd, Buffer.alloc(8192, 1));
    assert.deepEqual(found(new Journal(fd)), []);
  });
});

test('version 1 of the journal has this layout: another layout needs another version', () => {
  const { own } = journal();
  take(own, 3, 7n);
  own.current.givenFd = 4;
  own.current.child = 5;
  const words = new Uint32Array(40);
  readSync(own.fd, words, 0, 160, 0);
  const zeros = (count: number): number[] => Array(count).fill(0);
  const header = [MAGIC, 1, 96, 4096, ...zeros(12)];
  assert.deepEqual([...words], [...header, 3, 0, 7, 0, ...zeros(18), 5, 5]);
  assert.equal(fstatSync(own.fd).size, 64 + 96 * 4096 + 2 * (8 + 4096));
});
