/** docs/control-api.md and the code say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { eventNames } from './events.js';
import { shapes } from './lines.js';
import { MAX_LINE, PROTOCOL_VERSION } from './protocol.js';

const text = readFileSync(new URL('../../../../docs/control-api.md', import.meta.url), 'utf8');

/** First and second cell of each row of the table under a heading. */
function rows(heading: string): Map<string, string> {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const cells = [...section.matchAll(/^\| `([\w-]+)` \|(.*?)\|/gm)];
  return new Map(cells.map(([, name = '', fields = '']) => [name, fields.trim()]));
}

describe('the document of the control API', () => {
  test('is of the version that is spoken', () => {
    assert.match(text, new RegExp(`^.*Version: ${PROTOCOL_VERSION}\\.`, 'm'));
    assert.ok(text.includes(`at most ${MAX_LINE.toLocaleString('en')} bytes`));
  });

  test('has every request', () => {
    assert.deepEqual([...rows('Requests').keys()], Object.keys(shapes));
  });

  for (const [op, shape] of Object.entries(shapes)) {
    test(`gives the fields of '${op}' and their types`, () => {
      const described = [...(rows('Requests').get(op) ?? '').matchAll(/`(\w+)` (\w+)/g)];
      assert.deepEqual(Object.fromEntries(described.map(([, name, type]) => [name, type])), shape);
    });
  }

  test('has every event', () => {
    assert.deepEqual([...rows('Events').keys()], [...eventNames]);
  });
});
