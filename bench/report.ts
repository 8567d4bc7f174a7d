/** Writes bench/results.md, with a section for each measurement. Sections that were not measured stay unchanged. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import type { Row } from './measure.js';

const FILE = 'bench/results.md';

/** A table of rows. Values are in nanoseconds, unless `unit` formats another quantity. */
export function table(rows: readonly Row[], ours = 'bpfns', other = 'other', unit = time): string {
  const lines = rows.map(({ what, ours, theirs, ratio, spread, goal }) => {
    const [low, high] = spread.map((each) => each.toFixed(2));
    return `| ${what} | ${unit(ours)} | ${unit(theirs)} | **${ratio.toFixed(2)}** | ${low} to ${high} | ${goal ?? ''} |`;
  });
  return [`| | ${ours} | ${other} | ratio | spread | goal |`, '|---|---:|---:|---:|---:|---:|', ...lines].join('\n');
}

export function time(nanoseconds: number): string {
  return nanoseconds >= 1e6 ? `${(nanoseconds / 1e6).toFixed(1)} ms` : `${(nanoseconds / 1e3).toFixed(2)} µs`;
}

export function perSecond(count: number): string {
  return `${Math.round(count).toLocaleString('en')}/s`;
}

export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

/** @param titles the titles of all sections, in order */
export function write(titles: readonly string[], measured: ReadonlyMap<string, string>): void {
  const earlier = read();
  const sections = titles.flatMap((title) => {
    const body = measured.get(title) ?? earlier.get(title);
    return body === undefined ? [] : [`## ${title}\n\n${body.trim()}\n`];
  });
  const machine = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`;
  const head = `# Benchmark results

Written by \`make bench\`. ${machine}.
Each ratio is the median of those of several turns, in which the two sides follow each other at once; the spread is the
lowest and highest of them. Goals are of 1 and above: bpfns over the other.
`;
  writeFileSync(FILE, [head, ...sections].join('\n'));
}

function read(): Map<string, string> {
  try {
    const [, ...sections] = readFileSync(FILE, 'utf8').split(/^## /m);
    return new Map(
      sections.map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n'))]),
    );
  } catch {
    return new Map();
  }
}
