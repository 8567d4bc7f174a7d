/** Names that can be told from ids, options and keywords. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nameProblem } from './names.js';

describe('the name of a namespace', () => {
  for (const name of ['web', 'a', 'web-1.example_com:8080@x', '_x', '1a', 'x'.repeat(127), 'selfish', 'pid']) {
    test(`may be '${name}'`, () => assert.equal(nameProblem(name), undefined));
  }
  for (const name of [
    '',
    '7',
    '0012',
    'self',
    'init',
    'pid:1',
    '-x',
    '.x',
    'a b',
    'a/b',
    'a\n',
    'ä',
    'x'.repeat(128),
  ]) {
    test(`may not be ${JSON.stringify(name)}`, () => assert.ok(nameProblem(name)));
  }

  test('fits the 127 bytes of a record, cannot be taken for an option or an id, and prints as itself', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (name) => {
        if (nameProblem(name) !== undefined) return;
        assert.ok(Buffer.byteLength(name) <= 127);
        assert.match(name, /^[!-~]+$/);
        assert.doesNotMatch(name, /^-|^\d+$/);
      }),
    );
  });
});
