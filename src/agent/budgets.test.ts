import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BudgetReply } from '../control/budget.js';
import { MAX_LINE } from '../control/protocol.js';
import { fullest, MOST_SHOWN, ShownBudgets } from './budgets.js';

const empty = { objects: 0, maxObjects: 10, numbers: 0, maxNumbers: 10, namespaces: 1, maxNamespaces: 10 };
const budget = (namespace: number, more: Partial<BudgetReply> = {}): BudgetReply => ({
  namespace,
  path: '\u{1}'.repeat(63),
  ...empty,
  programMemory: 0,
  maxProgramMemory: 10,
  unowned: 0,
  ...more,
});

describe('the budgets that a status shows', () => {
  test('are the fullest, and first those with objects beyond', () => {
    const many = [budget(1), budget(2, { numbers: 9 }), budget(3, { unowned: 1 }), budget(4, { programMemory: 10 })];
    assert.deepEqual(
      fullest(many).map(({ namespace }) => namespace),
      [3, 4, 2, 1],
    );
  });

  test('fit into a line, however many namespaces there are and whatever they are called', () => {
    const shown = fullest(Array.from({ length: 10_000 }, (_, i) => budget(i)));
    assert.equal(shown.length, MOST_SHOWN);
    assert.ok(JSON.stringify(shown).length < MAX_LINE / 2);
  });

  test('are looked at for a part of the time only, however often they are asked for', () => {
    let [now, looks] = [0, 0];
    const shown = new ShownBudgets(
      () => {
        now += 5;
        return [budget(++looks)];
      },
      () => now,
    );
    const first = [budget(1)];
    assert.deepEqual([shown.get(), shown.get()], [first, first]);
    now += 49;
    assert.deepEqual(shown.get(), first);
    now += 1;
    assert.deepEqual(shown.get(), [budget(2)]);
  });
});
