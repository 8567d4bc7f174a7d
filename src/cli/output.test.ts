import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Column, json, table } from './output.js';

interface Row {
  readonly id: string;
  readonly name: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', align: 'right', value: ({ id }) => id },
  { title: 'NAME', value: ({ name }) => name },
];

describe('a table', () => {
  test('pads columns to the widest cell and leaves no blanks at the ends of lines', () => {
    const rows = [
      { id: '7', name: 'counters' },
      { id: '1234', name: 'x' },
    ];
    assert.equal(table(columns, rows), ['  ID  NAME', '   7  counters', '1234  x'].join('\n'));
  });

  test('without rows is its headings', () => {
    assert.equal(table(columns, []), 'ID  NAME');
  });

  test('shows an empty cell as -, so that columns can be counted', () => {
    assert.equal(table(columns, [{ id: '', name: '' }]), ['ID  NAME', ' -  -'].join('\n'));
  });

  test('shows control characters in names as text', () => {
    const name = '\u001b]0;x\u0007\n\u009b2J\u202e';
    assert.equal(table(columns, [{ id: '1', name }]).split('\n')[1], ' 1  \\u{1b}]0;x\\u{7}\\u{a}\\u{9b}2J\\u{202e}');
  });

  test('has one line for each row, whatever the cells hold', () => {
    const row = fc.record({ id: fc.string({ unit: 'binary' }), name: fc.string({ unit: 'binary' }) });
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const text = table(columns, rows);
        assert.equal(text.split('\n').length, rows.length + 1);
        assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
      }),
    );
  });
});

test('JSON reads back as what was printed', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) =>
      assert.deepEqual(JSON.parse(json(value)), JSON.parse(JSON.stringify(value))),
    ),
  );
});

test('JSON has no control characters, and reads back as what was printed with them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const text = json({ [value]: value });
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
      assert.deepEqual(JSON.parse(text), { [value]: value });
    }),
  );
});
