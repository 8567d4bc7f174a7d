/** What `top` shows of a sample, and what keys make of it; drawn on a real terminal in test/machine/top.test.ts. */
import assert from 'node:assert/strict';
import type { Key } from 'node:readline';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import stringWidth from 'string-width';
import { type Measured, Meter, type NamespaceUsage, type ObjectUsage, type Sample } from '../../control/api.js';
import { fit, frame, wrap } from './frame.js';
import { type Choice, groupings, type Row, rowsOf } from './rows.js';
import { initialState, offsetFor, press, type Shown, type State, selectedIndex } from './state.js';

const namespace = (
  id: number,
  name: string,
  parent: number | null,
  change: Partial<NamespaceUsage> = {},
): NamespaceUsage => ({
  id,
  path: name,
  name,
  level: 1,
  parent,
  ownerUid: 0,
  tracing: 'host',
  keep: false,
  tasks: 1,
  orphaned: false,
  containers: [],
  objects: { map: 1, prog: 1, link: 0, btf: 0 },
  memory: 1024,
  runs: 0,
  runTime: 0,
  calls: 0,
  refused: 0,
  ...change,
});
const program = (hostId: number, owner: number, change: Partial<ObjectUsage> = {}): ObjectUsage => ({
  kind: 'prog',
  hostId,
  namespace: owner,
  id: 1,
  name: `p${hostId}`,
  type: 'xdp',
  creator: { pid: 7, comm: 'loader', uid: 1000 },
  memory: 100,
  runs: 0,
  runTime: 0,
  ...change,
});
const nginx = { id: 'c1', pod: 'www', podNamespace: 'default', container: 'nginx' };

/** init with web (a container's) and db, build below web; build is the busiest. */
function measured(): Measured {
  const at = (seconds: number, runTime: number): Sample => ({
    time: '2026-01-02T03:04:05.678Z',
    seconds,
    counting: true,
    namespaces: [
      namespace(0, 'init', null),
      namespace(1, 'web', 0, { containers: [nginx], runs: seconds * 10, runTime: runTime / 4 }),
      namespace(2, 'db', 0, { runs: seconds * 10, runTime: runTime / 2 }),
      namespace(3, 'build', 1, { runs: seconds * 10, runTime }),
    ],
    objects: [program(11, 1), program(12, 3, { runs: seconds * 10, runTime })],
  });
  const meter = new Meter();
  meter.measure(at(1, 0));
  return meter.measure(at(2, 0.5));
}

const labels = (rows: readonly Row[]): string[] => rows.map(({ depth, label }) => '.'.repeat(depth) + label);
const rows = (choice: Partial<Choice>): Row[] => rowsOf(measured(), { ...initialState, ...choice });

describe('the rows of top', () => {
  test('are a tree of namespaces, the branch that takes most first', () => {
    assert.deepEqual(labels(rows({})), ['init', '.web (default/www/nginx)', '..build', '.db']);
    assert.deepEqual(labels(rows({ isReversed: true })), ['init', '.db', '.web (default/www/nginx)', '..build']);
    assert.deepEqual(labels(rows({ sort: 'label' })), ['init', '.db', '.web (default/www/nginx)', '..build']);
  });

  test('of what is folded are the sum of all below', () => {
    const [, web] = rows({ folded: new Set(['namespace 1']) });
    assert.deepEqual([web?.isFolded, web?.cpu, web?.runs, web?.objects, web?.memory], [true, 62.5, 20, 4, 2048]);
    assert.equal(web?.averageNs, 31.25e6);
  });

  test('are what a filter leaves, and what is above it', () => {
    assert.deepEqual(labels(rows({ filter: 'BUILD' })), ['init', '.web (default/www/nginx)', '..build']);
    assert.deepEqual(labels(rows({ grouping: 'program', filter: 'loader' })), ['p12', 'p11']);
    assert.deepEqual(labels(rows({ grouping: 'program', filter: '11' })), ['p11']);
  });

  test('are programs with their owners', () => {
    const [first] = rows({ grouping: 'program' });
    assert.deepEqual([first?.label, first?.program?.path, first?.cpu], ['p12', 'build', 50]);
  });

  const groups: ReadonlyArray<readonly [Choice['grouping'], readonly string[]]> = [
    ['container', ['(no container)', 'default/www/nginx']],
    ['pod', ['(no pod)', 'default/www']],
    ['creator', ['loader uid 1000']],
    ['type', ['prog xdp']],
  ];
  for (const [grouping, expected] of groups) {
    test(`are sums by ${grouping}`, () => {
      const found = rows({ grouping });
      assert.deepEqual(labels(found), expected);
      assert.equal(
        found.reduce((sum, { cpu }) => sum + cpu, 0),
        grouping === 'creator' || grouping === 'type' ? 50 : 87.5,
      );
    });
  }
});

const key = (name: string, rest: Partial<Key> = {}): Key => ({
  name,
  sequence: name,
  ctrl: false,
  meta: false,
  shift: false,
  ...rest,
});
const shown = (all: readonly Row[]): Shown => ({ rows: all, room: 2, lines: 10 });

describe('a key', () => {
  const all = rows({});
  const after = (...keys: readonly Key[]): State | undefined =>
    keys.reduce<State | undefined>(
      (state, each) => state && press(state, each, shown(rowsOf(measured(), state))),
      initialState,
    );

  test('q and Ctrl-C end', () => {
    assert.equal(after(key('q')), undefined);
    assert.equal(after(key('c', { ctrl: true })), undefined);
  });

  test('moves the selection, which stays in sight', () => {
    const state = after(key('down'), key('down'), key('j'));
    assert.ok(state);
    assert.equal(selectedIndex(state, all), 3);
    assert.equal(offsetFor(state, shown(all)), 2);
    const back = press(state, key('home'), shown(all));
    assert.equal(back && selectedIndex(back, all), 0);
  });

  test('folds and unfolds', () => {
    assert.deepEqual([...(after(key('down'), key('space'))?.folded ?? [])], ['namespace 1']);
    assert.equal(after(key('down'), key('left'), key('right'))?.folded.size, 0);
  });

  test('types a filter, which holds until Esc', () => {
    const typed = after(key('/'), key('q'), key('b'), key('backspace'));
    assert.deepEqual([typed?.typed, typed?.filter], ['q', 'q']);
    assert.equal(after(key('/'), key('d'), key('return'))?.filter, 'd');
    assert.equal(after(key('/'), key('d'), key('return'), key('escape'))?.filter, '');
  });

  test('opens the details of what has some, and goes back', () => {
    assert.equal(after(key('return'))?.page, 'details');
    assert.equal(after(key('return'), key('q'))?.page, 'table');
    assert.equal(after(key('h'), key('escape'))?.page, 'table');
  });
});

describe('a frame', () => {
  test('fits the terminal to the column, whatever things are called', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 40 });
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 40, max: 120 }),
        fc.integer({ min: 4, max: 30 }),
        fc.boolean(),
        (name, columns, lines, isTree) => {
          const grouping = isTree ? 'namespace' : 'program';
          const [row] = rows({ grouping });
          assert.ok(row);
          const screen = {
            head: [name],
            rows: [{ ...row, label: name }],
            grouping,
            sort: 'cpu',
            selected: 0,
            offset: 0,
            foot: name,
          } as const;
          const drawn = frame(screen, { columns, rows: lines }, false);
          assert.equal(drawn.length, lines);
          for (const line of drawn) {
            assert.ok(stringWidth(line) <= Math.max(columns, 72), line);
            assert.ok(!/[\p{Cc}]/u.test(line), JSON.stringify(line));
          }
        },
      ),
    );
  });

  test('marks one column that it is sorted by, whatever keys are pressed', () => {
    for (const first of groupings) {
      let state: State = { ...initialState, grouping: first };
      for (const name of ['s', 's', 's', 't', 's', 's', 's', 's', 's', 's']) {
        state = press(state, key(name), shown([])) ?? assert.fail();
        const { grouping, sort } = state;
        const screen = { head: [], rows: [], grouping, sort, selected: 0, offset: 0, foot: '' };
        const [titles = ''] = frame(screen, { columns: 80, rows: 10 }, false);
        assert.match(titles, /^[^*~]*\*[^*~]*$/);
      }
    }
  });

  test('marks the selected row without styles too', () => {
    const screen = {
      head: [],
      rows: rows({}),
      grouping: 'namespace',
      sort: 'cpu',
      selected: 1,
      offset: 0,
      foot: '',
    } as const;
    const drawn = frame(screen, { columns: 80, rows: 10 }, false);
    assert.match(drawn[2] ?? '', /^>.*web/);
    assert.ok(drawn.every((line) => !line.includes('\x1b')));
  });

  test('cuts what is too long, and shows what would steer the terminal', () => {
    assert.equal(fit('abcdef', 4), 'abc~');
    assert.equal(fit('\x1b[2J', 12), '\\u{1b}[2J   ');
    assert.deepEqual(wrap('one two', 80), ['one two']);
    assert.ok(wrap('x'.repeat(100), 30).every((line) => line.length <= 30));
  });
});
