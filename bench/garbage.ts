/** Measures what the agent leaves to the garbage collector, and how long that stops it. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { StatusReply } from '../src/control/protocol.js';
import { ask, BPFNS, GUEST, inside, run, untilInactive, warmUp } from './measure.js';

const TRACE = 'build/bench/gc';
const CALLS = 1_000_000;
/** As many as a minute suffices for on a busy machine, too. */
const AT_A_TIME = 20_000;
const whats = ['get_next_id', 'map_info'] as const;

/** One collection: the heap before and after it in MB, and how long it stopped the thread, in ms. */
interface Collection {
  readonly before: number;
  readonly after: number;
  readonly pause: number;
}

/** V8's trace: "[PID:ISOLATE]  5 ms: Scavenge 4.9 (6.1) -> 4.2 (7.1) MB, 0.4 / 0.0 ms ..." */
const LINE =
  /^\[(\d+:\w+)\]\s+\d+ ms: (?:Scavenge|Mark-Compact)\D*([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB, .*?([\d.]+) \/ [\d.]+ ms/;

/** Of the process's main thread, which is the first to collect garbage. */
function collectionsOf(pid: number): Collection[] {
  const lines = readFileSync(TRACE, 'latin1')
    .split('\n')
    .flatMap((line) => {
      const [, isolate = '', before, after, pause] = LINE.exec(line) ?? [];
      return isolate.startsWith(`${pid}:`)
        ? [{ isolate, before: Number(before), after: Number(after), pause: Number(pause) }]
        : [];
    });
  return lines.filter(({ isolate }) => isolate === lines[0]?.isolate);
}

/** Starts agent and supervisor with a trace of V8's collector. @returns the agent's pid, once a namespace keeps it */
async function startTraced(): Promise<number> {
  const trace = openSync(TRACE, 'w');
  const arguments_ = [
    '--no-warnings',
    '--max-semi-space-size=1',
    '--trace-gc',
    'build/lib/bpfns.js',
    'supervise',
    '--ready-fd',
    '3',
  ];
  const supervisor = spawn(process.execPath, arguments_, { stdio: ['ignore', trace, 'inherit', 'pipe'] });
  closeSync(trace);
  supervisor.unref();
  const ready = supervisor.stdio[3] as Socket;
  await new Promise((resolve) => ready.once('data', resolve).once('close', resolve));
  ready.destroy();
  run([BPFNS, 'create', 'bench']);
  return (await ask<StatusReply>({ op: 'status' })).pid;
}

/** @param found with the one before the calls first */
function describe(what: string, found: readonly Collection[]): string {
  const during = found.slice(1);
  const bytes = during.reduce((sum, { before }, i) => sum + before - (found[i]?.after ?? before), 0) * 1e6;
  const pauses = during.map(({ pause }) => pause);
  const total = pauses.reduce((sum, each) => sum + each, 0);
  const cells = [
    Math.round(bytes / CALLS),
    during.length,
    `${total.toFixed(0)} ms`,
    `${Math.max(0, ...pauses).toFixed(1)} ms`,
  ];
  return `| ${what} | ${cells.join(' | ')} |`;
}

export async function garbage(): Promise<string> {
  await untilInactive();
  const pid = await startTraced();
  try {
    const lines = whats.map((what) => {
      warmUp(what);
      const earlier = collectionsOf(pid).length;
      for (let done = 0; done < CALLS; done += AT_A_TIME) run([...inside, GUEST, what, String(AT_A_TIME)]);
      const found = collectionsOf(pid).slice(Math.max(earlier - 1, 0));
      return describe(what, found);
    });
    return `Of the agent, in ${CALLS.toLocaleString('en')} calls each. While a collection stops the agent, its answer waits.

| | bytes a call | collections | stopped for | the longest |
|---|---:|---:|---:|---:|
${lines.join('\n')}`;
  } finally {
    run([BPFNS, 'rm', 'bench']);
    await untilInactive();
  }
}
