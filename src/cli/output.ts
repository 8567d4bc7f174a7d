/** Prints rows as a table with headings, or as JSON. */
import { printable, printableJson } from '../control/printable.js';

export interface Column<T> {
  readonly title: string;
  readonly align?: 'right';
  readonly value: (row: T) => string;
}

/** Pads columns to their widest cell, with two spaces between them. No boxes, so that awk works. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ value }) => printable(value(row)) || '-')),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => (columns[i]?.align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function json(value: unknown): string {
  return printableJson(value, 2);
}

/** The shortest time between two lines of progress, in ms. */
const PROGRESS_MS = 100;

/** Says on a terminal's stderr how far something long is, in one line that is gone at its end. */
export function progress(what: string, total: number): (done: number) => void {
  if (!process.stderr.isTTY) return () => undefined;
  let last = 0;
  return (done) => {
    if (done === total) process.stderr.write('\r\x1b[K');
    else if (Date.now() - last >= PROGRESS_MS) {
      last = Date.now();
      process.stderr.write(`\r\x1b[K${what} ${done} of ${total}`);
    }
  };
}
