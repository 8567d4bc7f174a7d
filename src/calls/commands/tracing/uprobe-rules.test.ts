import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Place } from '../../../sys/probe-places.js';
import { type Circumstances, judge } from './uprobe-rules.js';

const aFunction: Place = { isFunction: true, semaphores: [] };
const usdt = (...semaphores: number[]): Place => ({ isFunction: false, semaphores });
const shared: Omit<Circumstances, 'place'> = {
  isForAll: true,
  mayWrite: false,
  mayKill: true,
  keepsReturnsApart: true,
};
const entry = { offset: 0x100, semaphore: 0, isReturn: false };
const atReturn = { ...entry, isReturn: true };

describe('a uprobe', () => {
  test('is for known places', () => {
    assert.equal(judge(entry, { ...shared, place: aFunction }), 0);
    assert.match(String(judge(entry, { ...shared, place: undefined })), /^a uprobe at offset 0x100: neither/);
  });

  test('has the semaphore of the notes, and no other', () => {
    const place = usdt(0x20, 0x30);
    assert.equal(judge(entry, { ...shared, place }), 0x20);
    assert.equal(judge({ ...entry, semaphore: 0x30 }, { ...shared, place }), 0x30);
    assert.equal(judge({ ...entry, semaphore: 0x40 }, { ...shared, place }), 0x20);
    assert.equal(judge({ ...entry, semaphore: 0x40 }, { ...shared, place: aFunction }), 0);
  });
});

describe('a return probe', () => {
  const place = aFunction;

  test('is for functions that are called', () => {
    for (const other of [usdt(0), { isFunction: false, semaphores: [] }]) {
      assert.match(String(judge(atReturn, { ...shared, place: other, mayWrite: true })), /no function begins there/);
    }
  });

  test('of all tasks is for files that the caller may write', () => {
    assert.match(String(judge(atReturn, { ...shared, place })), /can kill others/);
    assert.equal(judge(atReturn, { ...shared, place, mayWrite: true }), 0);
  });

  test('of one task is for any file, where the kernel keeps it from others', () => {
    const ofOne = { ...shared, place, isForAll: false };
    assert.equal(judge(atReturn, ofOne), 0);
    assert.match(String(judge(atReturn, { ...ofOne, mayKill: false })), /can kill the process/);
    assert.match(String(judge(atReturn, { ...ofOne, keepsReturnsApart: false })), /before Linux 6\.13/);
    assert.equal(judge(atReturn, { ...ofOne, keepsReturnsApart: false, mayWrite: true }), 0);
  });
});
