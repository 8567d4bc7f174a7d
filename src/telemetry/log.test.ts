import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Level, logTo } from './log.js';

const told = (options: Parameters<typeof logTo>[1], level: Level, message: string): string => {
  let text = '';
  logTo((line) => {
    text += line;
  }, options)(level, message, { pid: 7 });
  return text;
};
const text = { level: 'info', format: 'text', isJournal: false } as const;

describe('a line of the log', () => {
  test('as text: time, level, message, fields', () => {
    assert.match(told(text, 'warning', 'gone'), /^\d{4}-\d\d-\d\dT[\d:.]+Z warning gone pid=7\n$/);
  });

  test('as JSON: the same, by name', () => {
    const { time, ...rest } = JSON.parse(told({ ...text, format: 'json' }, 'error', 'gone')) as Record<string, unknown>;
    assert.ok(!Number.isNaN(Date.parse(String(time))));
    assert.deepEqual(rest, { level: 'error', message: 'gone', pid: 7 });
  });

  test('for the journal: no time, and the priority in front of every line', () => {
    assert.equal(told({ ...text, isJournal: true }, 'error', 'a\nb'), '<3>a\n<3>b pid=7\n');
  });

  test('has no control characters, whoever has chosen the text', () => {
    assert.match(told(text, 'error', 'a\u001b[2J\u009b'), / a\\u\{1b\}\[2J\\u\{9b\} pid=7\n$/);
    assert.doesNotMatch(told({ ...text, format: 'json' }, 'error', 'a\u001b[2J\u009b'), /(?!\n)\p{Cc}/u);
  });

  test('less important than the level: nothing', () => {
    assert.equal(told(text, 'debug', 'gone'), '');
  });
});
