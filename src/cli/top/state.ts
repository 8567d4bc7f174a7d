/** The state of `top`, and the effect of each key. Pure. */
import type { Key } from 'node:readline';
import { sortKeysOf } from './frame.js';
import { type Choice, type Grouping, groupings, type Row } from './rows.js';

export interface State extends Choice {
  /** The key of the selected row; undefined for the first. */
  readonly selected: string | undefined;
  /** The first visible line of the page, or row of the table. */
  readonly offset: number;
  readonly isPaused: boolean;
  /** The text that is typed after `/`. */
  readonly typed: string | undefined;
  readonly page: 'table' | 'help' | 'details';
}

export const initialState: State = {
  grouping: 'namespace',
  sort: 'cpu',
  isReversed: false,
  filter: '',
  folded: new Set(),
  selected: undefined,
  offset: 0,
  isPaused: false,
  typed: undefined,
  page: 'table',
};

/** The contents of the screen when a key is pressed. */
export interface Shown {
  readonly rows: readonly Row[];
  /** The number of rows that fit. */
  readonly room: number;
  /** The number of lines of the page, if one is shown. */
  readonly lines: number;
}

/** The selected row, or the first if the selected one is gone. */
export function selectedIndex(state: State, rows: readonly Row[]): number {
  return Math.max(
    0,
    rows.findIndex(({ key }) => key === state.selected),
  );
}

/** The first visible row, so that the selected one is visible. */
export function offsetFor(state: State, { rows, room }: Pick<Shown, 'rows' | 'room'>): number {
  const selected = selectedIndex(state, rows);
  const last = Math.max(0, rows.length - room);
  return Math.min(last, Math.max(selected - room + 1, Math.min(state.offset, selected)));
}

/** Undefined to quit. */
export function press(state: State, key: Key, shown: Shown): State | undefined {
  if (key.ctrl && (key.name === 'c' || key.name === 'd')) return undefined;
  if (state.typed !== undefined) return type(state, state.typed, key);
  if (state.page !== 'table') return turnPage(state, key, shown);
  const name = key.sequence === '?' ? 'h' : (key.name ?? key.sequence ?? '');
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    pageup: -shown.room,
    pagedown: shown.room,
    home: -shown.rows.length,
    end: shown.rows.length,
  };
  const step = steps[name];
  if (step !== undefined) return select(state, shown, step);
  if (name === 's') return { ...state, sort: next(sortKeysOf(state.grouping), state.sort, key.shift ? -1 : 1) };
  if (name === 't') return group(state, next(groupings, state.grouping, key.shift ? -1 : 1));
  return choose(state, name, key.sequence ?? '', shown);
}

/** Sorts by another column if the new rows do not have it. */
function group(state: State, grouping: Grouping): State {
  const sort = sortKeysOf(grouping).includes(state.sort) ? state.sort : initialState.sort;
  return { ...state, grouping, sort, offset: 0 };
}

function choose(state: State, name: string, sequence: string, shown: Shown): State | undefined {
  const row = shown.rows[selectedIndex(state, shown.rows)];
  switch (name) {
    case 'q':
      return undefined;
    case 'h':
      return { ...state, page: 'help', offset: 0 };
    case 'return':
    case 'enter':
      return row?.target ? { ...state, page: 'details', selected: row.key, offset: 0 } : state;
    case 'r':
      return { ...state, isReversed: !state.isReversed };
    case 'p':
      return { ...state, isPaused: !state.isPaused };
    case 'space':
      return row ? fold(state, row, !state.folded.has(row.key)) : state;
    case 'left':
    case 'right':
      return row ? fold(state, row, name === 'left') : state;
    case 'escape':
      return { ...state, filter: '' };
    default:
      return sequence === '/' ? { ...state, typed: state.filter } : state;
  }
}

function select(state: State, { rows, room }: Shown, step: number): State {
  const index = Math.max(0, Math.min(rows.length - 1, selectedIndex(state, rows) + step));
  const moved = { ...state, selected: rows[index]?.key };
  return { ...moved, offset: offsetFor(moved, { rows, room }) };
}

function fold(state: State, row: Row, isFolded: boolean): State {
  if (row.isFolded === undefined) return state;
  const folded = new Set(state.folded);
  if (isFolded) folded.add(row.key);
  else folded.delete(row.key);
  return { ...state, folded, selected: row.key };
}

function type(state: State, typed: string, key: Key): State {
  if (key.name === 'return' || key.name === 'enter') return { ...state, typed: undefined, filter: typed };
  if (key.name === 'escape') return { ...state, typed: undefined, filter: '' };
  if (key.name === 'backspace') return { ...state, typed: typed.slice(0, -1), filter: typed.slice(0, -1) };
  const text = key.sequence ?? '';
  if (key.ctrl || key.meta || text.length !== 1 || text < ' ') return state;
  // The rows change while the text is typed.
  return { ...state, typed: typed + text, filter: typed + text };
}

function turnPage(state: State, key: Key, { lines, room }: Shown): State | undefined {
  const last = Math.max(0, lines - room);
  const go = (offset: number): State => ({ ...state, offset: Math.max(0, Math.min(last, offset)) });
  const name = key.name ?? '';
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    pageup: -room,
    pagedown: room,
    space: room,
  };
  const step = steps[name];
  if (step !== undefined) return go(state.offset + step);
  const isBack = ['q', 'escape', 'return', 'enter', 'left', 'backspace'].includes(name);
  return isBack ? { ...state, page: 'table', offset: 0 } : state;
}

function next<T>(all: readonly T[], now: T, step: number): T {
  return all[(all.indexOf(now) + step + all.length) % all.length] ?? now;
}
