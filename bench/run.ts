/**
 * Measures bpfns against a minimal C responder and against no filter at all, and writes
 * bench/results.md. Every figure is a ratio of medians, within one run.
 * Arguments: the sections to measure (default: all).
 */
import { loadavg } from 'node:os';
import { creations, goCalls, manyObjects, minimalCalls, placedCalls, trappedCalls, untrappedCalls } from './calls.js';
import { coldStart, forks, listings, outside, starts } from './commands.js';
import { garbage } from './garbage.js';
import { progress } from './measure.js';
import { write } from './report.js';
import { memory, together } from './scale.js';
import { tracing } from './tracing.js';
import { worst } from './worst.js';

const sections: Readonly<Record<string, readonly [title: string, measure: () => Promise<string>]>> = {
  trapped: ['A trapped call, against the C responder', trappedCalls],
  minimal: ['A trapped call, against the least that an answer costs', minimalCalls],
  go: ['A trapped call, against the same in Go', goCalls],
  placed: ['A trapped call, wherever the kernel runs the two sides', placedCalls],
  thousand: ['A trapped call with 1,000 maps in the namespace', () => manyObjects(1000)],
  'hundred-thousand': ['A trapped call with 100,000 maps in the namespace', () => manyObjects(100_000)],
  listing: ["bpftool's listings", listings],
  untrapped: ['An untrapped call inside, against outside while bpfns is active', untrappedCalls],
  creation: ['Creating an object inside, against outside while bpfns is active', creations],
  outside: ['Outside any namespace', outside],
  start: ['Starting a command with a running agent, against node -e 0', starts],
  cold: ['Starting the first command, against node -e 0', coldStart],
  memory: ['Memory', memory],
  garbage: ['Garbage', garbage],
  together: ['Callers at once', together],
  tracing: ['Tracing of own tasks', tracing],
  worst: ['While another guest does its worst', worst],
  fork: ['fork and exec of 1,000 processes inside, the start of bpfns included, against outside', forks],
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in sections));
if (unknown.length > 0) throw new Error(`no section ${unknown.join(', ')}: ${Object.keys(sections).join(', ')}`);

const titles = Object.values(sections).map(([title]) => title);
for (const [name, [title, measure]] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  progress(`== ${name}`);
  const load = `Load average when it began: ${(loadavg()[0] ?? 0).toFixed(1)}.`;
  // Written after each section, so that a failure does not lose the earlier ones.
  write(titles, new Map([[title, `${await measure()}\n\n${load}`]]));
}
