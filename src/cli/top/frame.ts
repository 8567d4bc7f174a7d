/** Draws the rows as lines of text for a terminal of a given size. Styles are escape sequences around whole lines. */
import stringWidth from 'string-width';
import { printable } from '../../control/printable.js';
import { bytes, count } from '../quantities.js';
import type { Grouping, Row, SortKey } from './rows.js';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly sort: SortKey | undefined;
  readonly align: 'left' | 'right';
  readonly value: (row: Row) => string;
}

const right = (title: string, width: number, sort: SortKey | undefined, value: Column['value']): Column => {
  return { title, width, sort, align: 'right', value };
};
const left = (title: string, width: number, sort: SortKey | undefined, value: Column['value']): Column => {
  return { title, width, sort, align: 'left', value };
};

const rates: readonly Column[] = [
  right('CPU%', 6, 'cpu', ({ cpu }) => cpu.toFixed(cpu < 100 ? 2 : 1)),
  right('EVENTS/S', 9, 'runs', ({ runs }) => count(runs)),
  right('AVG NS', 7, 'averageNs', ({ averageNs }) => count(averageNs)),
];
const memory = right('MEMORY', 7, 'memory', (row) => bytes(row.memory));

/** Of init it is not told: it has all others. */
const tasks = right('TASKS', 6, 'tasks', (row) => (row.tasks > 0 ? count(row.tasks) : '-'));

/** Columns of fixed width. The last one takes the rest. */
function columnsOf(grouping: Grouping): readonly Column[] {
  if (grouping === 'program') {
    return [
      right('HOSTID', 6, undefined, ({ program }) => String(program?.object.hostId ?? '')),
      ...rates,
      memory,
      left('TYPE', 11, undefined, ({ program }) => program?.object.type ?? ''),
      left('NAMESPACE', 11, undefined, ({ program }) => program?.path ?? ''),
      left('NAME', 0, 'label', ({ label }) => label),
    ];
  }
  const hasTasks = grouping === 'namespace' || grouping === 'container' || grouping === 'pod';
  return [
    ...rates,
    memory,
    right('OBJECTS', 8, 'objects', ({ objects }) => count(objects)),
    ...(hasTasks ? [tasks] : []),
    right('CALLS/S', 8, 'calls', ({ calls }) => count(calls)),
    left(grouping.toUpperCase(), 0, 'label', treeLabel),
  ];
}

/** What the rows can be sorted by, from left to right. */
export function sortKeysOf(grouping: Grouping): readonly SortKey[] {
  return columnsOf(grouping).flatMap(({ sort }) => sort ?? []);
}

function treeLabel({ depth, isFolded, label }: Row): string {
  return `${'  '.repeat(depth)}${isFolded === undefined ? '  ' : isFolded ? '+ ' : '- '}${label}`;
}

/** Cuts or pads a text to a number of columns. Text that guests choose cannot control the terminal. */
export function fit(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  let shown = printable(text);
  if (stringWidth(shown) > width) {
    const characters = Array.from(new Intl.Segmenter().segment(shown), ({ segment }) => segment);
    while (characters.length > 0 && stringWidth(`${characters.join('')}~`) > width) characters.pop();
    shown = width > 0 ? `${characters.join('')}~` : '';
  }
  const padding = ' '.repeat(Math.max(0, width - stringWidth(shown)));
  return align === 'right' ? padding + shown : shown + padding;
}

function line(columns: readonly Column[], width: number, cell: (column: Column) => string): string {
  const fixed = columns.reduce((sum, column) => sum + column.width + 1, 0);
  const cells = columns.map((column) => fit(cell(column), column.width || Math.max(0, width - fixed), column.align));
  return fit(cells.join(' '), width); // if even the fixed columns are too wide
}

export interface Screen {
  readonly head: readonly string[];
  readonly rows: readonly Row[];
  readonly grouping: Grouping;
  readonly sort: SortKey;
  /** The title of the rows. */
  readonly selected: number;
  /** The first row that is shown. */
  readonly offset: number;
  readonly foot: string;
}

/** The number of lines that are not rows: column titles and foot. */
const OTHER_LINES = 2;

/** The number of rows that fit. */
export function roomFor(size: Size, head: number): number {
  return Math.max(1, size.rows - head - OTHER_LINES);
}

/** @param hasStyles whether the terminal can show reverse video; without it a mark shows the selection */
export function frame(screen: Screen, size: Size, hasStyles: boolean): string[] {
  const width = size.columns - 1; // the first column is for the mark
  const columns = columnsOf(screen.grouping);
  const reverse = (text: string): string => (hasStyles ? `\x1b[7m${text}\x1b[0m` : text);
  const room = roomFor(size, screen.head.length);
  const titles = line(columns, width, ({ title, sort }) => (sort === screen.sort ? `${title}*` : title));
  const shown = screen.rows.slice(screen.offset, screen.offset + room).map((row, i) => {
    const isSelected = screen.offset + i === screen.selected;
    const text = `${isSelected ? '>' : ' '}${line(columns, width, ({ value }) => value(row))}`;
    return isSelected ? reverse(text) : text;
  });
  const filler = Array.from({ length: Math.max(0, room - shown.length) }, () => '');
  return [
    ...screen.head.map((text) => fit(text, size.columns)),
    reverse(` ${titles}`),
    ...shown,
    ...filler,
    fit(screen.foot, size.columns),
  ].slice(0, size.rows);
}

/** A page of text instead of the rows. */
export function page(lines: readonly string[], offset: number, foot: string, size: Size): string[] {
  const room = Math.max(1, size.rows - 1);
  const shown = lines.slice(offset, offset + room).map((text) => fit(text, size.columns));
  const filler = Array.from({ length: Math.max(0, room - shown.length) }, () => '');
  return [...shown, ...filler, fit(foot, size.columns)];
}

/** Long lines continue on the next line, indented. */
export function wrap(text: string, width: number): string[] {
  const shown = printable(text);
  const lines: string[] = [];
  let rest = shown;
  while (stringWidth(rest) > width) {
    let cut = rest.length;
    while (cut > 1 && stringWidth(rest.slice(0, cut)) > width) cut--;
    const space = rest.lastIndexOf(' ', cut);
    const at = space > 20 ? space : cut;
    lines.push(rest.slice(0, at));
    rest = `    ${rest.slice(at).trimStart()}`;
    if (rest.trim() === '' || width < 10) return lines;
  }
  return [...lines, rest];
}
