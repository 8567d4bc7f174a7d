import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createJournalFile, Journal } from './journal.js';

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
