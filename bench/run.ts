/**
 * Measures bpfns against a minimal C responder and against no filter at all, and writes
 * bench/results.md. Every figure is a ratio within one run, of medians; rounds of the two
 * sides alternate, so that a machine that gets slower meanwhile slows both.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';

const GUEST = 'build/bench/guest';
const RESPONDER = 'build/bench/responder';
const BPFNS = 'bin/bpfns';
const ALTERNATIONS = 7;

type Side = readonly string[];
const native: Side = [];
const inC: Side = [RESPONDER];
const inside: Side = [BPFNS, 'run', '--'];
const insideFlat: Side = [BPFNS, 'run', '--no-nesting', '--'];

interface Row {
  readonly what: string;
  readonly ours: number;
  readonly theirs: number;
  readonly ratio: number;
  /** Lowest and highest ratio of one alternation. */
  readonly spread: readonly [number, number];
  readonly goal: number | undefined;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function run(command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, stdout, stderr } = spawnSync('timeout', ['-k', '1', '60', program, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}: ${stderr}`);
  return stdout;
}

/** The guest's median of one call, in nanoseconds. */
function call(side: Side, what: string, rounds: number, batch: number): number {
  return Number(run([...side, GUEST, what, String(rounds), String(batch)]).split(' ')[0]);
}

/** How long a whole command takes, in nanoseconds. */
function duration(command: readonly string[]): number {
  const start = process.hrtime.bigint();
  run(command);
  return Number(process.hrtime.bigint() - start);
}

function compare(what: string, ours: () => number, theirs: () => number, goal?: number): Row {
  const pairs = Array.from({ length: ALTERNATIONS }, () => [ours(), theirs()] as const);
  const ratios = pairs.map(([mine, other]) => mine / other);
  process.stderr.write(`${what}: ${median(ratios).toFixed(2)}\n`);
  return {
    what,
    ours: median(pairs.map(([mine]) => mine)),
    theirs: median(pairs.map(([, other]) => other)),
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    goal,
  };
}

const calls = (what: string, side: Side, other: Side, rounds: number, batch: number, goal?: number): Row =>
  compare(
    what,
    () => call(side, what, rounds, batch),
    () => call(other, what, rounds, batch),
    goal,
  );

const sections: ReadonlyArray<readonly [title: string, rows: () => Row[]]> = [
  [
    'A trapped call, against the C responder making the same system calls',
    () =>
      ['get_next_id', 'get_fd_by_id', 'map_info', 'prog_info'].map((what) => calls(what, inside, inC, 3000, 1, 1.15)),
  ],
  [
    'An untrapped call inside, against outside any namespace while bpfns is active',
    () => ['lookup', 'update', 'test_run', 'getppid'].map((what) => calls(what, inside, native, 300, 1000, 1.1)),
  ],
  [
    'Creating an object inside, against outside any namespace while bpfns is active',
    () =>
      ['map_create', 'prog_load', 'link_create'].map((what) =>
        calls(what, inside, native, what === 'link_create' ? 20 : 500, 1, 1.3),
      ),
  ],
  [
    'fork and exec of 1,000 processes inside, the start of bpfns included, against outside',
    () => {
      const forks = ['sh', '-c', 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i + 1)); done'];
      return [
        compare(
          'with nesting',
          () => duration([...inside, ...forks]),
          () => duration(forks),
        ),
        compare(
          'with --no-nesting',
          () => duration([...insideFlat, ...forks]),
          () => duration(forks),
        ),
      ];
    },
  ],
  [
    'Starting a command with a running agent, against node -e 0',
    () => [
      compare(
        'bpfns run true',
        () => duration([...inside, 'true']),
        () => duration(['node', '-e', '0']),
        1.5,
      ),
    ],
  ],
];

function format(rows: readonly Row[]): string {
  const time = (nanoseconds: number): string =>
    nanoseconds >= 1e6 ? `${(nanoseconds / 1e6).toFixed(1)} ms` : `${(nanoseconds / 1e3).toFixed(2)} µs`;
  const lines = rows.map(({ what, ours, theirs, ratio, spread, goal }) => {
    const [low, high] = spread.map((each) => each.toFixed(2));
    return `| ${what} | ${time(ours)} | ${time(theirs)} | **${ratio.toFixed(2)}** | ${low} to ${high} | ${goal ?? ''} |`;
  });
  return ['| | bpfns | other | ratio | spread | goal |', '|---|---:|---:|---:|---:|---:|', ...lines].join('\n');
}

/** A guest that keeps the agent, and with it the recorder, through the whole run. */
run([BPFNS, 'create', 'bench']);
try {
  const measured = sections.map(([title, rows]) => `## ${title}\n\n${format(rows())}\n`);
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${agentPid()}/status`, 'latin1'))?.[1];
  const machine = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`;
  const text = [
    '# Benchmark results',
    '',
    `Written by \`make bench\`. ${machine}.`,
    `Each ratio is the median of ${ALTERNATIONS} alternations within one run; the spread is the lowest and highest of them.`,
    `The agent's resident memory at the end: ${Math.round(Number(rss) / 1024)} MiB.`,
    '',
    ...measured,
  ].join('\n');
  writeFileSync('bench/results.md', text);
} finally {
  run([BPFNS, 'rm', 'bench']);
}

function agentPid(): number {
  return (JSON.parse(run([BPFNS, 'doctor', '--json'])) as { agent: { pid: number } }).agent.pid;
}
