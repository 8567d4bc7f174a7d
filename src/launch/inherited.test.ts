import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitStrings } from './inherited.js';

const cases: ReadonlyArray<readonly [what: string, bytes: string, strings: readonly string[]]> = [
  ['nothing', '', []],
  ['one string', 'a\0', ['a']],
  ['empty strings count', '\0a\0\0', ['', 'a', '']],
  ['bytes that are not UTF-8 stay', '\xff\xfe\0', ['\xff\xfe']],
  ['the last NUL may be missing', 'a\0b', ['a', 'b']],
];
for (const [what, bytes, strings] of cases) {
  test(`NUL-terminated strings: ${what}`, () => {
    const found = splitStrings(Buffer.from(bytes, 'latin1')).map((text) => text.toString('latin1'));
    assert.deepEqual(found, strings);
  });
}
