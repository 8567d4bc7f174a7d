/** Measures whole commands: bpftool's listings, the start of a command, fork and exec. */
import {
  compare,
  duration,
  guest,
  inC,
  inside,
  insideFlat,
  native,
  type Row,
  rowOf,
  run,
  type Side,
  untilInactive,
  whileActive,
} from './measure.js';
import { table } from './report.js';

const LISTINGS = 5;

/** Equally many objects on both sides: natively, and with the responder, the host's own objects count. */
function listing(kind: 'map' | 'prog', size: number, other: Side, goal?: number): Row {
  const there = (JSON.parse(run(['bpftool', '-j', kind, 'list'])) as unknown[]).length;
  const count = Math.max(size, there + 1);
  const list = ['bpftool', kind, 'list'];
  return compare(
    `${kind} list, ${count}`,
    () => guest(inside, `${kind}s`, count, LISTINGS, ...list),
    () => guest(other, `${kind}s`, count - there, LISTINGS, ...list),
    goal,
    5,
  );
}

export function listings(): Promise<string> {
  const rows = (other: Side, goal?: number): Row[] =>
    (['map', 'prog'] as const).flatMap((kind) => [10, 100, 500].map((size) => listing(kind, size, other, goal)));
  return whileActive(
    () => `Root on both sides. A native listing shows the whole machine, so what is there already is counted in.

${table(rows(native, 4), 'inside', 'native')}

Each object takes bpftool three calls, and each that is trapped is two switches of context at least. What they alone cost
shows under the responder, which translates nothing:

${table(rows(inC), 'inside', 'C')}`,
  );
}

export function starts(): Promise<string> {
  return whileActive(() =>
    table([
      compare(
        'bpfns run true',
        () => duration([...inside, 'true']),
        () => duration(['node', '-e', '0']),
        1.15,
      ),
    ]),
  );
}

export async function coldStart(): Promise<string> {
  const turns: Array<readonly [number, number]> = [];
  for (let turn = 0; turn < 7; turn++) {
    await untilInactive();
    turns.push([duration([...inside, 'true']), duration(['node', '-e', '0'])]);
  }
  await untilInactive();
  return `Loads and attaches the recorder and starts supervisor and agent.\n\n${table([rowOf('bpfns run true', turns)])}`;
}

export function forks(): Promise<string> {
  const many = ['sh', '-c', 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i + 1)); done'];
  const row = (what: string, side: readonly string[]): Row =>
    compare(
      what,
      () => duration([...side, ...many]),
      () => duration(many),
    );
  return whileActive(() => table([row('with nesting', inside), row('with --no-nesting', insideFlat)]));
}

/** Outside any namespace: while a namespace exists, and while none does. */
export async function outside(): Promise<string> {
  const whats = [
    ['getppid', 300, 1000],
    ['map_create', 2000, 1],
  ] as const;
  const look = (): number[] => whats.map((args) => guest(native, ...args));
  const turns: Array<Record<'before' | 'during' | 'after', number[]>> = [];
  let hooks = '';
  for (let turn = 0; turn < 7; turn++) {
    await untilInactive();
    const before = look();
    const during = await whileActive(({ backend }) => {
      hooks = backend;
      return look();
    });
    turns.push({ before, during, after: look() });
  }
  const rows = (of: 'during' | 'after'): Row[] =>
    whats.map(([what], i) =>
      rowOf(
        `${what}, ${of}`,
        turns.map((turn) => [turn[of][i] ?? 0, turn.before[i] ?? 0]),
      ),
    );
  return `A process in no namespace: while bpfns is active, and after the last namespace is gone, against before the first. The
recorder's hooks: ${hooks}.

${table([...rows('during'), ...rows('after')], 'with', 'before')}`;
}
