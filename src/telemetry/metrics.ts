/** Metrics for Prometheus, over HTTP at a TCP address or a unix socket. Loaded only if they are configured. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type Counter, Gauge, type Histogram, Registry } from 'prom-client';
import type { ContainerLabels } from '../model/container.js';
import type { Kind } from '../model/ids.js';
import type { RecorderStatus } from '../recorder/records.js';
import { latencyBounds, type Statistics } from './statistics.js';

/** What the metrics are computed from, at one moment. */
export interface Measured {
  readonly statistics: Statistics;
  readonly namespaces: number;
  /** Reads one file per namespace. Called once per scrape. */
  readonly objects: () => readonly ObjectCount[];
  readonly recorder: RecorderStatus;
}

/** The number of objects of a kind that a namespace owns. */
export interface ObjectCount {
  readonly kind: Kind;
  /** The path of the namespace. */
  readonly namespace: string;
  readonly containers: readonly ContainerLabels[];
  readonly count: number;
}

interface Value {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** Serves GET /metrics. Resolves once it listens. Only root may connect to a unix socket. */
export async function serveMetrics(listen: string, measure: () => Measured): Promise<Server> {
  const registry = registryOf(measure);
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

export function registryOf(measure: () => Measured): Registry {
  const registry = new Registry();
  const add = (name: string, help: string, type: 'counter' | 'histogram', values: () => Value[]): void =>
    registry.registerMetric(counted(name, help, type, values));
  add('bpfns_trapped_calls_total', 'Trapped calls that were answered.', 'counter', () => calls(measure()));
  add('bpfns_refused_calls_total', 'Trapped calls that were answered with EPERM.', 'counter', () => refused(measure()));
  add('bpfns_trapped_call_seconds', 'Time from the arrival of a trapped call to its answer.', 'histogram', () =>
    latencies(measure().statistics),
  );
  const recorder: ReadonlyArray<readonly [string, string, keyof RecorderStatus]> = [
    [
      'bpfns_recorder_overflows_total',
      'Events that did not fit into the ring; the maps were read again.',
      'ringOverflows',
    ],
    ['bpfns_recorder_lost_objects_total', 'Objects without a record, which count for init.', 'lostObjects'],
    ['bpfns_recorder_lost_tasks_total', 'Tasks that could not be marked, which create for init.', 'lostTasks'],
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
  new Gauge({
    name: 'bpfns_objects',
    help: 'Recorded objects by kind and by the namespace that owns them, init excluded.',
    labelNames: ['kind', 'namespace', 'pod', 'pod_namespace', 'container'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { kind, namespace, containers, count } of measure().objects()) {
        this.set({ kind, namespace, ...labelsOf(containers) }, count);
      }
    },
  });
  return registry;
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
  type: 'counter' | 'histogram',
  values: () => Value[],
): Counter & Histogram {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: values() }),
  };
  return metric as unknown as Counter & Histogram;
}
