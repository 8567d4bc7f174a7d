/**
 * Every object, with its owner and its cost. Objects are opened by id and closed at once, since an
 * open fd would keep them alive. What does not change is read once.
 */
import { readFileSync } from 'node:fs';
import type { NamespaceCost, NamespaceUsage, ObjectUsage } from '../control/usage.js';
import { detailsOf } from '../host/details.js';
import { withMap } from '../host/inventory.js';
import type { NamespaceProcess } from '../model/host-object.js';
import { hostId, INIT, type Kind, kinds } from '../model/ids.js';
import { Namespaces } from '../model/namespaces.js';
import { readLabels } from '../recorder/container-labels.js';
import { readNamespaces, readObject } from '../recorder/records.js';
import { hostIds, withObject } from '../sys/bpf.js';
import { memoryOf, type RunCounters, runCountersOf } from '../sys/bpf-usage.js';
import { btfInfo } from '../sys/btf-info.js';
import { Ledger, type ProgramReading } from './ledger.js';

/** The memory of this many maps is read again at each look, in turn, so that growth is noticed soon. */
const MEMORY_READS = 512;
/**
 * How long the owner may still change, in ms: an object of a container can be older than the
 * runtime's message.
 */
const UNSETTLED = 30_000;

interface Entry {
  usage: ObjectUsage;
  readonly since: number;
  counters: RunCounters | undefined;
}

export class Survey {
  readonly #objects: Readonly<Record<Kind, Map<number, Entry>>> = {
    map: new Map(),
    prog: new Map(),
    link: new Map(),
    btf: new Map(),
  };
  readonly #ledger = new Ledger();
  #model = new Namespaces();
  #toMeasure: Iterator<Entry> = [].values();

  /** Examines everything. @throws SyscallError */
  look(): void {
    this.#model = new Namespaces();
    withMap('namespaces', (fd) => {
      for (const spec of readNamespaces(fd)) this.#model.add(spec);
    });
    const isRecorded = withMap('objects', (fd) => this.#lookAtObjects(fd)) !== undefined;
    if (!isRecorded) this.#lookAtObjects(-1);
    this.#measureSome();
    this.#ledger.take(this.#readings(), new Set(this.#model.all().map(({ id }) => id)));
  }

  /** The objects of the last look. Those of a kind are in the order of their host ids. */
  *objects(): Generator<ObjectUsage> {
    for (const kind of kinds) for (const { usage } of this.#objects[kind].values()) yield usage;
  }

  /** The namespaces of the last look, parents before children. The agent adds `calls` and `refused`. */
  namespaces(): Array<Omit<NamespaceCost, 'calls' | 'refused'>> {
    const sums = new Map<number, { objects: Record<Kind, number>; memory: number }>();
    for (const { kind, namespace, memory } of this.objects()) {
      const sum = sums.get(namespace) ?? none();
      sum.objects[kind]++;
      sum.memory += memory;
      sums.set(namespace, sum);
    }
    return this.#model.all().map((namespace) => {
      const { runs, runTimeNs } = this.#ledger.of(namespace.id);
      return {
        id: namespace.id,
        path: namespace.path,
        name: namespace.spec.name,
        level: namespace.level,
        parent: namespace.parent?.id ?? null,
        ownerUid: namespace.spec.ownerUid,
        tracing: namespace.spec.tracing,
        keep: namespace.keep,
        containers: readLabels(namespace.id),
        ...(sums.get(namespace.id) ?? none()),
        runs,
        runTime: runTimeNs / 1e9,
      };
    });
  }

  #lookAtObjects(records: number): void {
    for (const kind of kinds) {
      const known = this.#objects[kind];
      const alive = new Set(hostIds(kind));
      for (const host of known.keys()) if (!alive.has(host)) known.delete(host);
      for (const host of alive) {
        const entry = known.get(host);
        if (!entry) this.#add(kind, host, records);
        else this.#update(entry, records);
      }
    }
  }

  #add(kind: Kind, host: number, records: number): void {
    const details = detailsOf(kind, host);
    const cost = withObject(kind, host, (fd) => measure(kind, fd));
    if (!details || !cost) return; // gone in the meantime
    const usage: ObjectUsage = {
      kind,
      hostId: host,
      ...this.#ownerOf(kind, host, records),
      name: details.name,
      type: details.type,
      memory: cost.memory,
      ...runsOf(cost.counters),
    };
    this.#objects[kind].set(host, { usage, since: performance.now(), counters: cost.counters });
  }

  #update(entry: Entry, records: number): void {
    const { kind, hostId: host, namespace } = entry.usage;
    const mayChange = namespace === INIT || !this.#model.get(namespace as never);
    if (mayChange && performance.now() - entry.since < UNSETTLED) {
      const owner = this.#ownerOf(kind, host, records);
      if (owner.namespace !== namespace) entry.usage = { ...entry.usage, ...owner };
    }
    if (kind !== 'prog') return;
    const counters = withObject(kind, host, runCountersOf);
    if (!counters) return;
    if (counters.runs !== entry.counters?.runs) entry.usage = { ...entry.usage, ...runsOf(counters) };
    entry.counters = counters;
  }

  #ownerOf(kind: Kind, host: number, records: number): Pick<ObjectUsage, 'namespace' | 'id' | 'creator'> {
    const record = records < 0 ? undefined : readObject(records, kind, hostId(host));
    if (!record) return { namespace: INIT, id: host, creator: null };
    const { owner, ids } = record.object;
    const { pid, comm, uid } = record.creator;
    return { namespace: owner, id: ids.at(-1) ?? 0, creator: { pid, comm, uid } };
  }

  #measureSome(): void {
    for (let i = 0; i < MEMORY_READS; i++) {
      const next = this.#toMeasure.next();
      if (next.done) {
        this.#toMeasure = this.#objects.map.values();
        return;
      }
      const { value: entry } = next;
      const memory = withObject('map', entry.usage.hostId, memoryOf) ?? entry.usage.memory;
      if (memory !== entry.usage.memory) entry.usage = { ...entry.usage, memory };
    }
  }

  #readings(): ProgramReading[] {
    return [...this.#objects.prog.values()].flatMap(({ usage: { hostId: host, namespace }, counters }) =>
      counters ? [{ hostId: host, namespace, ...counters }] : [],
    );
  }
}

/** Adds what the processes in namespaces tell. */
export function withTasks(
  namespaces: readonly NamespaceCost[],
  processes: readonly NamespaceProcess[],
): NamespaceUsage[] {
  const counts = new Map<number, number>();
  for (const { namespace } of processes) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  const parents = new Set(namespaces.map(({ parent }) => parent));
  return namespaces.map((namespace) => {
    const { id, keep } = namespace;
    if (id === INIT) return { ...namespace, tasks: null, orphaned: false };
    const tasks = counts.get(id) ?? 0;
    return { ...namespace, tasks, orphaned: tasks === 0 && !parents.has(id) && !keep };
  });
}

function none(): { objects: Record<Kind, number>; memory: number } {
  return { objects: { map: 0, prog: 0, link: 0, btf: 0 }, memory: 0 };
}

function measure(kind: Kind, fd: number): { memory: number; counters: RunCounters | undefined } {
  switch (kind) {
    case 'map':
      return { memory: memoryOf(fd), counters: undefined };
    case 'prog':
      return { memory: memoryOf(fd), counters: runCountersOf(fd) };
    case 'btf':
      return { memory: btfInfo(fd)?.length ?? 0, counters: undefined };
    case 'link':
      return { memory: 0, counters: undefined };
  }
}

function runsOf(counters: RunCounters | undefined): Pick<ObjectUsage, 'runs' | 'runTime'> {
  return { runs: counters?.runs ?? 0, runTime: (counters?.runTimeNs ?? 0) / 1e9 };
}

/** Whether the kernel counts runs and run time, because of any process. */
export function isCounting(): boolean {
  try {
    return readFileSync('/proc/sys/kernel/bpf_stats_enabled', 'latin1').trim() !== '0';
  } catch {
    return false;
  }
}
