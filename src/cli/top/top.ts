/** `bpfns top`: a live view in the terminal, or samples as JSON. */
import {
  type Client,
  type Measured,
  Meter,
  type NamespaceUsage,
  type ObjectUsage,
  type Sample,
} from '../../control/api.js';
import { printableJson } from '../../control/printable.js';
import { CliError } from '../cli-error.js';
import { startedClient } from '../host-view.js';
import { describeReport } from '../list.js';
import { bytes } from '../quantities.js';
import { frame, page, roomFor, type Screen, wrap } from './frame.js';
import { type Row, rowsOf } from './rows.js';
import { initialState, offsetFor, press, type Shown, type State, selectedIndex } from './state.js';
import { enterTerminal, hasTerminal, type Terminal } from './terminal.js';

export interface TopOptions {
  readonly json: boolean;
  /** The number of samples; Infinity until it is stopped. */
  readonly count: number;
  /** In seconds. */
  readonly interval: number;
}

/** Samples with their rates; 'lost' while the agent restarts. Ends when there is no agent any more. */
async function* measure(
  client: Client,
  interval: number,
  signal: AbortSignal,
): AsyncGenerator<Measured | 'lost', void> {
  do {
    const meter = new Meter();
    for await (const sample of client.watch({ interval: interval * 1000, signal })) yield meter.measure(sample);
    yield 'lost';
  } while (await client.isBack(signal));
}

export async function top(options: TopOptions, print: (line: string) => void): Promise<void> {
  const client = await startedClient();
  if (options.json) await printSamples(client, options, print);
  else if (!hasTerminal()) throw new CliError('top needs a terminal: use --json elsewhere');
  else await show(client, options);
}

/** One object per line. Rates need two samples, so the first line comes after one interval. */
async function printSamples(
  client: Client,
  { count, interval }: TopOptions,
  print: (line: string) => void,
): Promise<void> {
  let left = count;
  let isFirst = true;
  for await (const measured of measure(client, interval, new AbortController().signal)) {
    if (measured === 'lost') continue;
    if (!isFirst) {
      print(printableJson(asJson(measured)));
      left--;
    }
    isFirst = false;
    if (left <= 0) return;
  }
  if (Number.isFinite(count)) throw new CliError('the agent ended before all samples were taken');
}

interface JsonRates {
  readonly cpu: number;
  readonly runsPerSecond: number;
  readonly averageNs: number;
}

function asJson({ sample, ofNamespace, ofObject }: Measured): object {
  const rates = ({ cpu, runs, averageNs }: { cpu: number; runs: number; averageNs: number }): JsonRates => {
    return { cpu, runsPerSecond: runs, averageNs };
  };
  const namespace = (usage: NamespaceUsage): object => {
    const measured = ofNamespace(usage.id);
    return { ...usage, ...rates(measured), callsPerSecond: measured.calls };
  };
  const program = (usage: ObjectUsage): object => ({ ...usage, ...rates(ofObject(usage)) });
  const { time, counting, namespaces, objects }: Sample = sample;
  return {
    time,
    counting,
    namespaces: namespaces.map(namespace),
    programs: objects.filter(({ kind }) => kind === 'prog').map(program),
  };
}

const help = [
  'bpfns top: whose BPF costs what',
  '',
  '  up down j k PgUp PgDn Home End   move',
  '  Enter      everything about the row: who made it, what keeps it alive',
  '  t  T       next or previous grouping: namespaces as a tree, programs, containers, pods, creators, types',
  '  Space      fold or unfold a namespace; left folds, right unfolds. A folded row (+) is the sum of all below',
  '  s  S       sort by the next or previous column; r reverses',
  '  /          show only rows with a text; Esc shows all',
  '  p          pause',
  '  q  Ctrl-C  end',
  '',
  '  CPU%       share of one CPU that programs took since the last sample',
  '  EVENTS/S   runs of programs a second',
  '  AVG NS     time of one run',
  '  MEMORY     what objects take of the kernel (memlock in their fdinfo)',
  '  TASKS      processes in the namespace',
  "  CALLS/S    trapped calls of the namespace's processes that the agent answered",
  '',
  '  CPU, events and time are counted while somebody looks, unless the configuration says otherwise: see bpfns.conf(5).',
];

function head({ sample, hasRates, ofNamespace }: Measured, { isPaused, filter, isReversed }: State): string[] {
  const total = sample.namespaces.map(({ id }) => ofNamespace(id));
  const sum = (key: 'cpu' | 'runs' | 'calls'): number => total.reduce((all, each) => all + each[key], 0);
  const memory = sample.namespaces.reduce((all, each) => all + each.memory, 0);
  const state = [
    isPaused ? 'paused' : '',
    filter === '' ? '' : `only '${filter}'`,
    isReversed ? 'reversed' : '',
    sample.counting ? '' : 'run time is not counted: see [statistics] in bpfns.conf(5)',
    hasRates || !sample.counting ? '' : 'rates come with the next sample',
  ].filter((text) => text !== '');
  return [
    `${sample.time.slice(11, 19)}  ${sample.namespaces.length} namespaces, ${sample.objects.length} objects, ${bytes(memory)}`,
    `CPU ${sum('cpu').toFixed(2)}%, ${sum('runs').toFixed(0)} events/s, ${sum('calls').toFixed(0)} calls/s` +
      (state.length > 0 ? `  [${state.join('; ')}]` : ''),
  ];
}

const KEYS = 'q end  h help  t group  s sort  / filter  Enter details  Space fold  p pause';

class TopScreen {
  #state: State = initialState;
  #measured: Measured | undefined;
  #details: readonly string[] = [];
  #status = 'waiting for the agent';
  readonly #terminal: Terminal;
  readonly #client: Client;
  readonly #stop: AbortController;

  constructor(client: Client, stop: AbortController) {
    this.#client = client;
    this.#stop = stop;
    this.#terminal = enterTerminal(
      (key) => this.#press(key),
      () => this.draw(),
      () => stop.abort(),
    );
    this.draw();
  }

  show(measured: Measured): void {
    this.#status = '';
    if (this.#state.isPaused) return;
    this.#measured = measured;
    this.draw();
  }

  /** The last sample stays in sight. */
  lose(): void {
    this.#status = 'the agent does not answer: waiting for another';
    this.draw();
  }

  leave(): void {
    this.#terminal.leave();
  }

  #shown(): Shown & { readonly text: readonly string[]; readonly head: readonly string[] } {
    const { size } = this.#terminal;
    const measured = this.#measured;
    const lines = this.#state.page === 'help' ? help : this.#details;
    const text = lines.flatMap((each) => wrap(each, size.columns));
    const heading = measured ? head(measured, this.#state) : [];
    const room = this.#state.page === 'table' ? roomFor(size, heading.length) : size.rows - 1;
    return { rows: measured ? rowsOf(measured, this.#state) : [], room, lines: text.length, text, head: heading };
  }

  draw(): void {
    const { size, hasStyles } = this.#terminal;
    const shown = this.#shown();
    if (this.#state.page !== 'table') {
      this.#terminal.draw(page(shown.text, this.#state.offset, 'q or Esc: back', size));
      return;
    }
    const { grouping, sort, typed } = this.#state;
    const offset = offsetFor(this.#state, shown);
    const foot = typed !== undefined ? `/${typed}_` : this.#status || KEYS;
    const selected = selectedIndex(this.#state, shown.rows);
    const screen: Screen = { head: shown.head, rows: shown.rows, grouping, sort, selected, offset, foot };
    this.#terminal.draw(frame(screen, size, hasStyles));
  }

  #press(key: Parameters<typeof press>[1]): void {
    const shown = this.#shown();
    const next = press(this.#state, key, shown);
    if (!next) {
      this.#stop.abort();
      return;
    }
    const opens = next.page === 'details' && this.#state.page !== 'details';
    this.#state = next;
    if (opens) void this.#open(shown.rows[selectedIndex(next, shown.rows)]);
    this.draw();
  }

  async #open(row: Row | undefined): Promise<void> {
    if (!row?.target) return;
    this.#details = ['looking ...'];
    try {
      if ('kind' in row.target) {
        this.#details = describeReport(await this.#client.who(row.target.kind, row.target.hostId));
      } else {
        this.#details = this.#describeNamespace(row.target.namespace);
      }
    } catch (error) {
      this.#details = [error instanceof Error ? error.message : String(error)];
    }
    this.draw();
  }

  #describeNamespace(id: number): string[] {
    const sample = this.#measured?.sample;
    const usage = sample?.namespaces.find((each) => each.id === id);
    if (!sample || !usage) return ['the namespace is gone'];
    const { path, level, ownerUid, containers, objects, tasks, memory, runs, runTime, calls, refused } = usage;
    const names = containers.map(({ id: its, podNamespace, pod, container }) =>
      [its, podNamespace, pod, container].filter((part) => part !== null).join('  '),
    );
    const own = sample.objects.filter(({ namespace }) => namespace === id);
    return [
      `namespace ${id} '${path}', level ${level}, of uid ${ownerUid}`,
      ...names.map((name) => `  container  ${name}`),
      `  objects    ${Object.entries(objects)
        .map(([kind, number]) => `${number} ${kind}`)
        .join(', ')}; ${bytes(memory)}`,
      ...(tasks === null ? [] : [`  tasks      ${tasks}`]),
      `  programs   ${runs} runs, ${runTime.toFixed(6)} s, since the agent first looked`,
      `  calls      ${calls} trapped, ${refused} refused, since the agent started`,
      '',
      ...own.map(
        ({ kind, id: its, hostId, name, type, memory: size, creator }) =>
          `  ${kind} ${its} (host ${hostId})  ${type}  ${name}  ${bytes(size)}${creator ? `  by ${creator.comm}[${creator.pid}]` : ''}`,
      ),
    ];
  }
}

async function show(client: Client, { count, interval }: TopOptions): Promise<void> {
  const stop = new AbortController();
  const screen = new TopScreen(client, stop);
  let left = count;
  try {
    for await (const measured of measure(client, interval, stop.signal)) {
      if (stop.signal.aborted) break;
      if (measured === 'lost') {
        screen.lose();
        continue;
      }
      screen.show(measured);
      if (measured.hasRates) left--;
      if (left < 0) break;
    }
  } finally {
    screen.leave();
    process.stdin.pause();
  }
  if (!stop.signal.aborted && left >= 0) throw new CliError('the agent has ended');
}
