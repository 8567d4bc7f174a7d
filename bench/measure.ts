/**
 * How measurements are made: commands alternate between two sides, so that a machine that becomes
 * slower slows both. The result is the median of the ratios of all turns.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { paths } from '../src/config/paths.js';
import { AgentClient } from '../src/control/client.js';
import type { Request, StatusReply } from '../src/control/protocol.js';

// One namespace is to own more than the default budget.
process.env.BPFNS_MAX_OBJECTS ??= '200000';

export const GUEST = 'build/bench/guest';
export const BPFNS = 'bin/bpfns';
const TURNS = 7;

/** The command that starts a guest. */
export type Side = readonly string[];
export const native: Side = [];
export const inC: Side = ['build/bench/responder'];
/** The least that an answer costs. */
export const minimal: Side = ['build/bench/minimal'];
/** The same in Go. It is built only where Go is installed. */
export const inGo: Side = ['build/bench/peer'];
export const inside: Side = [BPFNS, 'run', '--'];
export const insideFlat: Side = [BPFNS, 'run', '--no-nesting', '--'];

export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly theirs: number;
  readonly ratio: number;
  /** The lowest and highest ratio of one turn. */
  readonly spread: readonly [number, number];
  readonly goal: number | undefined;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Runs a command. @returns its standard output @throws Error if it fails or takes longer than a minute */
export function run(command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, stdout, stderr } = spawnSync('timeout', ['-k', '1', '60', program, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}: ${stderr}`);
  return stdout;
}

/** The first number that a guest prints: usually the median time of a call, in nanoseconds. */
export function guest(side: Side, ...args: ReadonlyArray<string | number>): number {
  return Number.parseFloat(run([...side, GUEST, ...args.map(String)]));
}

/** The time of a whole command, in nanoseconds. */
export function duration(command: readonly string[]): number {
  const start = process.hrtime.bigint();
  run(command);
  return Number(process.hrtime.bigint() - start);
}

export function compare(what: string, ours: () => number, theirs: () => number, goal?: number, turns = TURNS): Row {
  return rowOf(
    what,
    Array.from({ length: turns }, () => [ours(), theirs()] as const),
    goal,
  );
}

/** @param turns the measurements of the two sides, one pair per turn */
export function rowOf(what: string, turns: ReadonlyArray<readonly [number, number]>, goal?: number): Row {
  const ratios = turns.map(([mine, other]) => mine / other);
  progress(`${what}: ${median(ratios).toFixed(2)}`);
  return {
    what,
    ours: median(turns.map(([mine]) => mine)),
    theirs: median(turns.map(([, other]) => other)),
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    goal,
  };
}

/** Enough calls for V8 to compile the agent's code. */
const WARM_UP = 15000;

/** Has the agent compile what answers this call. */
export function warmUp(what: string, side = inside): void {
  guest(side, what, WARM_UP);
}

/** Compares a guest's calls in a namespace with those on another side. */
export function calls(what: string, other: Side, rounds: number, batch: number, goal?: number): Row {
  return compare(
    what,
    () => guest(inside, what, rounds, batch),
    () => guest(other, what, rounds, batch),
    goal,
  );
}

/** Runs `measure` while a namespace keeps the agent and the recorder running. */
export async function whileActive<T>(measure: (agent: StatusReply) => T | Promise<T>): Promise<T> {
  run([BPFNS, 'create', 'bench']);
  try {
    return await measure(await ask<StatusReply>({ op: 'status' }));
  } finally {
    run([BPFNS, 'rm', 'bench']);
    await untilInactive();
  }
}

/** One request to the agent. */
export async function ask<T>(request: Request): Promise<T> {
  const client = await AgentClient.connectOrStart();
  try {
    return await client.ask<T>(request);
  } finally {
    client.close();
  }
}

/** The kernel detaches a program from a tracepoint only once no CPU can run it, a little later; in ms. */
const DETACHING = 300;

/** Waits until the agent, and everything of bpfns, is gone. */
export async function untilInactive(): Promise<void> {
  if (!existsSync(paths.socket)) return;
  while (existsSync(paths.socket)) await pause(50);
  await pause(DETACHING);
}

/** Resident memory, in bytes. */
export function residentMemory(pid: number): number {
  return statusOf(pid, 'VmRSS') * 1024;
}

/** The process's own part of resident memory, in bytes: pages that others have too count by their share. */
export function proportionalMemory(pid: number): { all: number; own: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) * 1024;
  return { all: field('Pss'), own: field('Private_Dirty') };
}

/** How often the threads of a process have gone to sleep so far. */
export function sleeps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => statusOf(Number(tid), 'voluntary_ctxt_switches'))
    .reduce((sum, each) => sum + each);
}

export function parentOf(pid: number): number {
  return statusOf(pid, 'PPid');
}

function statusOf(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
}

/** Keeps all threads of a process on one CPU while `measure` runs; `only(cpu)` does so for what it starts. */
export function pinned<T>(pid: number, cpu: number, measure: () => T): T {
  const before =
    run(['taskset', '-cp', String(pid)])
      .split(': ')[1]
      ?.trim() ?? '';
  run(['taskset', '-acp', String(cpu), String(pid)]);
  try {
    return measure();
  } finally {
    run(['taskset', '-acp', before, String(pid)]);
  }
}

export function only(cpu: number, side: Side): Side {
  return ['taskset', '-c', String(cpu), ...side];
}
