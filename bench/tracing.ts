/** Measures tracing=own: what the scope check costs an event, and what loading by the agent costs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tracepointId, withTracefs } from '../src/sys/tracepoint.js';
import { BPFNS, compare, median, progress, run, type Side, whileActive } from './measure.js';
import { table } from './report.js';

const TRACER = 'build/bench/tracer';
const own: Side = [BPFNS, 'run', '--tracing=own', '--'];
const TURNS = 7;
const INSTRUCTIONS = 5000;

/** The time of a system call in each situation, in ns. */
interface Turn {
  readonly none: number;
  readonly plain: number;
  readonly outside: number;
  readonly noneInside: number;
  readonly inside: number;
  readonly cgroup: number;
  readonly otherCgroup: number;
}

export function tracing(): Promise<string> {
  const tracepoint = String(withTracefs((root) => tracepointId(root, 'raw_syscalls', 'sys_enter')));
  const calls = (side: Side, what: string): number =>
    Number.parseFloat(run([...side, TRACER, 'calls', what, tracepoint]));
  return whileActive(async () => {
    const turns: Turn[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const [none, plain] = [calls([], 'none'), calls([], 'plain')];
      const outside = await whileHeld(tracepoint, () => calls([], 'none'));
      const [noneInside, inside] = [calls(own, 'none'), calls(own, 'plain')];
      const [cgroup, otherCgroup] = [calls([], 'cgroup'), calls([], 'other-cgroup')];
      turns.push({ none, plain, outside, noneInside, inside, cgroup, otherCgroup });
    }
    const load = (side: Side): number => Number.parseFloat(run([...side, TRACER, 'load', String(INSTRUCTIONS), '9']));
    const loading = compare(
      `load ${INSTRUCTIONS} instructions`,
      () => load(own),
      () => load([]),
      2,
      5,
    );
    return `A program on raw_syscalls:sys_enter that counts in a map. What an event costs with it is the difference of a
system call with the program and without; inside a namespace a call takes longer by the seccomp filter alone.
The cgroup filter is that of bcc's tools (\`--cgroupmap\`): a look-up of the current cgroup in a map.

${events(turns)}

${table([loading], 'own', 'native')}`;
  });
}

/** Runs `measure` while a namespace has the program attached. */
async function whileHeld<T>(tracepoint: string, measure: () => T): Promise<T> {
  const holder = spawn(BPFNS, [...own.slice(1), TRACER, 'hold', tracepoint], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  try {
    await Promise.race([once(holder.stdout, 'data'), ended]);
    if (holder.exitCode !== null) throw new Error(`${TRACER} hold: status ${holder.exitCode}`);
    return measure();
  } finally {
    holder.stdin.end();
    await ended;
  }
}

function events(turns: readonly Turn[]): string {
  const cost = (of: (turn: Turn) => number): number => median(turns.map(of));
  const plain = (turn: Turn): number => turn.plain - turn.none;
  const row = (what: string, of: (turn: Turn) => number, goal = ''): string => {
    const more = cost((turn) => of(turn) - plain(turn));
    progress(`${what}: ${Math.round(more)} ns more`);
    return `| ${what} | ${Math.round(cost(of))} ns | **${Math.round(more)} ns** | ${goal} |`;
  };
  return [
    '| | an event | more than without a check | goal |',
    '|---|---:|---:|---:|',
    row('no check', plain),
    row('own, a task outside', (turn) => turn.outside - turn.none, '60 ns'),
    row('own, a task inside', (turn) => turn.inside - turn.noneInside, '110 ns'),
    row('cgroup filter, another cgroup', (turn) => turn.otherCgroup - turn.none),
    row('cgroup filter, the own cgroup', (turn) => turn.cgroup - turn.none),
  ].join('\n');
}
