/** Metrics for Prometheus, over HTTP at a TCP address or a unix socket. Loaded only if they are configured. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type Counter, Gauge, type Histogram, Registry } from 'prom-client';
import type { BudgetReply } from '../control/budget.js';
import type { NamespaceCost, Usage } from '../control/usage.js';
import type { ContainerLabels } from '../model/container.js';
import { INIT, type Kind } from '../model/ids.js';
import type { Misses } from '../recorder/misses.js';
import type { RecorderStatus } from '../recorder/records.js';
import { OTHERS, SeriesBound } from './series.js';
import { latencyBounds, type Statistics } from './statistics.js';

/** What the metrics are computed from, at one moment. */
export interface Measured {
  readonly statistics: Statistics;
  readonly namespaces: number;
  /** Running containers whose calls fail. */
  readonly lostContainers: number;
  /** Reads one file per namespace. Called once per scrape. */
  readonly objects: () => readonly ObjectCount[];
  readonly recorder: RecorderStatus & Misses;
  /** Of each top-level namespace. */
  readonly budgets: () => readonly BudgetReply[];
  /** Reads every object of the host. Called once per scrape. */
  readonly usage: () => Promise<Usage>;
}

/** The number of objects of a kind that a namespace owns. */
export interface ObjectCount {
  readonly kind: Kind;
  readonly id: number;
  /** The path of the namespace. */
  readonly namespace: string;
  readonly containers: readonly ContainerLabels[];
  readonly count: number;
}

type MetricType = 'counter' | 'histogram' | 'gauge';
type Add = (name: string, help: string, type: MetricType, values: () => Value[] | Promise<Value[]>) => void;

interface Value {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/**
 * Serves GET /metrics. Resolves once it listens; a unix socket is root's alone.
 * @param namespaces how many may have series of their own
 */
export async function serveMetrics(listen: string, namespaces: number, measure: () => Measured): Promise<Server> {
  const registry = registryOf(namespaces, measure);
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (listen.startsWith('unix:')) {
      const path = listen.slice('unix:'.length);
      rmSync(path, { force: true });
      server.listen(path, () => {
        chmodSync(path, 0o600);
        resolve();
      });
    } else {
      const at = listen.lastIndexOf(':');
      server.listen(Number(listen.slice(at + 1)), listen.slice(0, at).replace(/[[\]]/g, ''), resolve);
    }
  });
  return server;
}

export function registryOf(namespaces: number, measure: () => Measured): Registry {
  const registry = new Registry();
  const add: Add = (name, help, type, values) => registry.registerMetric(counted(name, help, type, values));
  const bound = new SeriesBound(namespaces);
  add('bpfns_trapped_calls_total', 'Trapped calls that were answered.', 'counter', () => calls(measure()));
  add('bpfns_refused_calls_total', 'Trapped calls that were answered with EPERM.', 'counter', () => refused(measure()));
  add('bpfns_tracing_refused_total', 'Programs and events that a tracing mode refused.', 'counter', () => [
    { labels: {}, value: measure().statistics.refusedTracing },
  ]);
  add('bpfns_trapped_call_seconds', 'Time from the arrival of a trapped call to its answer.', 'histogram', () =>
    latencies(measure().statistics),
  );
  const recorder: ReadonlyArray<readonly [string, string, keyof (RecorderStatus & Misses)]> = [
    [
      'bpfns_recorder_overflows_total',
      'Events that did not fit into the ring; the maps were read again.',
      'ringOverflows',
    ],
    ['bpfns_recorder_lost_objects_total', 'Objects without a record, which count for init.', 'lostObjects'],
    ['bpfns_recorder_lost_tasks_total', 'Tasks that could not be marked, which are in no namespace.', 'lostTasks'],
    [
      'bpfns_recorder_missed_calls_total',
      'Calls of bpf(2) that perhaps no hook saw; what they created belongs to init.',
      'missedCalls',
    ],
    ['bpfns_recorder_missed_forks_total', 'Forks that perhaps no hook saw.', 'missedForks'],
    ['bpfns_recorder_refused_fds_total', 'Fds that were not what the system call created.', 'refused'],
  ];
  for (const [name, help, field] of recorder) {
    add(name, help, 'counter', () => [{ labels: {}, value: measure().recorder[field] }]);
  }
  new Gauge({
    name: 'bpfns_namespaces',
    help: 'Namespaces there are, init included.',
    registers: [registry],
    collect() {
      this.set(measure().namespaces);
    },
  });
  add(
    'bpfns_lost_containers',
    'Running containers without a listener: their calls fail until a restart.',
    'gauge',
    () => [{ labels: {}, value: measure().lostContainers }],
  );
  add('bpfns_objects', 'Recorded objects by kind and by the namespace that owns them, init excluded.', 'gauge', () =>
    objects(measure(), bound),
  );
  addBudgets(add, bound, measure);
  addUsage(add, bound, measure);
  return registry;
}

/** Of top-level namespaces that have series of their own. */
function addBudgets(add: Add, bound: SeriesBound, measure: () => Measured): void {
  const budgets = (): BudgetReply[] =>
    measure()
      .budgets()
      .filter(({ namespace }) => bound.hasOwn(namespace));
  add('bpfns_unowned_objects_total', 'Objects created beyond a budget, which belong to init.', 'counter', () =>
    budgets().map(({ path, unowned }) => ({ labels: { namespace: path }, value: unowned })),
  );
  const help = 'The budget of a top-level namespace, and of all below it';
  const series = (of: (budget: BudgetReply) => Readonly<Record<string, number>>) => (): Value[] =>
    budgets().flatMap((budget) =>
      Object.entries(of(budget)).map(([resource, value]) => ({ labels: { namespace: budget.path, resource }, value })),
    );
  add(
    'bpfns_budget_used',
    `${help}: what is used.`,
    'gauge',
    series(({ objects, numbers, namespaces, programMemory }) => ({
      objects,
      numbers,
      namespaces,
      'program-memory': programMemory,
    })),
  );
  add(
    'bpfns_budget_limit',
    `${help}: the most.`,
    'gauge',
    series(({ maxObjects, maxNumbers, maxNamespaces, maxProgramMemory }) => ({
      objects: maxObjects,
      numbers: maxNumbers,
      namespaces: maxNamespaces,
      'program-memory': maxProgramMemory,
    })),
  );
}

/** A scrape asks for all metrics in one turn of the event loop: one look serves them. */
function addUsage(add: Add, bound: SeriesBound, measure: () => Measured): void {
  let current: Promise<Usage & { readonly others: Pick<NamespaceCost, 'runs' | 'runTime'> }> | undefined;
  const look = (): NonNullable<typeof current> => {
    current ??= measure()
      .usage()
      .then((usage) => {
        bound.update(usage.namespaces.map(({ id }) => id));
        return { ...usage, others: bound.others(usage.namespaces) };
      })
      .finally(() => {
        current = undefined;
      });
    return current;
  };
  const byNamespace = async (key: 'runs' | 'runTime' | 'memory'): Promise<Value[]> => {
    const { namespaces, others } = await look();
    const own = namespaces.filter(({ id }) => bound.hasOwn(id));
    const rest = namespaces.filter(({ id }) => !bound.hasOwn(id));
    const values = own.map((each) => ({
      labels: { namespace: each.path, ...labelsOf(each.containers) },
      value: each[key],
    }));
    const sum = key === 'memory' ? rest.reduce((all, { memory }) => all + memory, 0) : others[key];
    return rest.length > 0 || sum > 0
      ? [...values, { labels: { namespace: OTHERS, ...labelsOf([]) }, value: sum }]
      : values;
  };
  const byProgram = async (key: 'runs' | 'runTime'): Promise<Value[]> => {
    const { programs, namespaces } = await look();
    const paths = new Map(namespaces.map(({ id, path }) => [id, path]));
    return programs.map(({ hostId, namespace, name, type, [key]: value }) => {
      return { labels: { namespace: paths.get(namespace) ?? '', id: hostId, name, type }, value };
    });
  };
  const seconds = 'Time that programs ran, while statistics were on';
  const runs = 'Runs of programs, while statistics were on';
  add('bpfns_program_run_seconds_total', `${seconds}, by owner.`, 'counter', () => byNamespace('runTime'));
  add('bpfns_program_runs_total', `${runs}, by owner.`, 'counter', () => byNamespace('runs'));
  add('bpfns_object_memory_bytes', "The kernel's memory that objects take, by owner.", 'gauge', () =>
    byNamespace('memory'),
  );
  add('bpfns_each_program_run_seconds_total', `${seconds}, one by one.`, 'counter', () => byProgram('runTime'));
  add('bpfns_each_program_runs_total', `${runs}, one by one.`, 'counter', () => byProgram('runs'));
  add('bpfns_run_time_counted', 'Whether the kernel counts runs of programs now.', 'gauge', async () => [
    { labels: {}, value: (await look()).counting ? 1 : 0 },
  ]);
}

/** Of namespaces without series of their own, the sums by kind. */
function objects(measured: Measured, bound: SeriesBound): Value[] {
  const counts = measured.objects();
  bound.update([INIT, ...new Set(counts.map(({ id }) => id))]);
  const others = new Map<Kind, number>();
  const own = counts.flatMap(({ kind, id, namespace, containers, count }): Value[] => {
    if (bound.hasOwn(id)) return [{ labels: { kind, namespace, ...labelsOf(containers) }, value: count }];
    others.set(kind, (others.get(kind) ?? 0) + count);
    return [];
  });
  const rest = [...others].map(([kind, value]) => {
    return { labels: { kind, namespace: OTHERS, ...labelsOf([]) }, value };
  });
  return [...own, ...rest];
}

/** What several containers have in common. '' where nothing is known, which Prometheus treats as no label. */
function labelsOf(containers: readonly ContainerLabels[]): Record<'pod' | 'pod_namespace' | 'container', string> {
  const common = (key: 'pod' | 'podNamespace' | 'container'): string => {
    const [first, ...others] = new Set(containers.map((each) => each[key]));
    return others.length === 0 ? (first ?? '') : '';
  };
  return { pod: common('pod'), pod_namespace: common('podNamespace'), container: common('container') };
}

function calls({ statistics }: Measured): Value[] {
  return [...statistics.commands].flatMap(([command, { results }]) =>
    [...results].map(([result, value]) => ({ labels: { command, result }, value })),
  );
}

function refused({ statistics }: Measured): Value[] {
  return [...statistics.commands].map(([command, { results }]) => ({
    labels: { command },
    value: results.get('EPERM') ?? 0,
  }));
}

function latencies({ commands }: Statistics): Value[] {
  const name = 'bpfns_trapped_call_seconds';
  return [...commands].flatMap(([command, { buckets, total }]) => {
    let sum = 0;
    const cumulative = buckets.map((count, index) => {
      sum += count;
      return { metricName: `${name}_bucket`, labels: { le: latencyBounds[index] ?? '+Inf', command }, value: sum };
    });
    return [
      ...cumulative,
      { metricName: `${name}_sum`, labels: { command }, value: total },
      { metricName: `${name}_count`, labels: { command }, value: sum },
    ];
  });
}

/**
 * The library's own counters would have to be updated in the loop. The registry needs no more of a
 * metric than this.
 */
function counted(
  name: string,
  help: string,
  type: MetricType,
  values: () => Value[] | Promise<Value[]>,
): Counter & Histogram {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: await values() }),
  };
  return metric as unknown as Counter & Histogram;
}
