import assert from 'node:assert/strict';
import { test } from 'node:test';
import { perfEventAdvice } from './perf-events.js';

test('perf_event_paranoid is worth a word from 3 on', () => {
  for (const level of [-1, 0, 1, 2, undefined]) assert.equal(perfEventAdvice(level), undefined);
  for (const level of [3, 4]) assert.match(perfEventAdvice(level) ?? '', new RegExp(`is ${level}: .* CAP_PERFMON`));
});
