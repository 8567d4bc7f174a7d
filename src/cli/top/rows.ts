/** Converts a sample to the rows of the screen: a tree of namespaces, single programs, or sums by a key. */

import type { Kind, NamespaceUsage, ObjectUsage } from '../../control/api.js';
import type { Measured, Rates } from '../../control/rates.js';
import { noRates } from '../../control/rates.js';
import { containerTitle } from '../../model/container.js';

/** What a row stands for, in the order in which the key `t` switches. */
export const groupings = ['namespace', 'program', 'container', 'pod', 'creator', 'type'] as const;
export type Grouping = (typeof groupings)[number];

export type SortKey = 'cpu' | 'runs' | 'averageNs' | 'memory' | 'objects' | 'tasks' | 'calls' | 'label';

export interface Row {
  /** The same in every sample. */
  readonly key: string;
  readonly label: string;
  /** The depth in the tree; otherwise 0. */
  readonly depth: number;
  /** Whether the rows below it are folded; undefined if there are none. */
  readonly isFolded: boolean | undefined;
  readonly cpu: number;
  readonly runs: number;
  readonly averageNs: number;
  readonly memory: number;
  readonly objects: number;
  /** Processes in namespaces other than init. */
  readonly tasks: number;
  readonly calls: number;
  /** What the details describe. */
  readonly target: { readonly namespace: number } | { readonly kind: Kind; readonly hostId: number } | undefined;
  /** For a program. */
  readonly program: { readonly object: ObjectUsage; readonly path: string } | undefined;
}

export interface Choice {
  readonly grouping: Grouping;
  readonly sort: SortKey;
  readonly isReversed: boolean;
  /** Rows without this text are hidden, unless a row below has it. */
  readonly filter: string;
  /** The keys of the rows. */
  readonly folded: ReadonlySet<string>;
}

export function rowsOf(measured: Measured, choice: Choice): Row[] {
  switch (choice.grouping) {
    case 'namespace':
      return treeRows(measured, choice);
    case 'program':
      return sorted(programRows(measured).filter(matching(choice.filter)), choice);
    case 'container':
    case 'pod':
    case 'creator':
    case 'type':
      return sorted(groupRows(measured, choice.grouping).filter(matching(choice.filter)), choice);
  }
}

type Sums = Pick<Row, 'cpu' | 'runs' | 'averageNs' | 'memory' | 'objects' | 'tasks' | 'calls'>;

function sumsOf({ cpu, runs, averageNs, calls }: Rates, memory: number, objects: number, tasks = 0): Sums {
  return { cpu, runs, averageNs, memory, objects, tasks, calls };
}

function add(a: Sums, b: Sums): Sums {
  const cpu = a.cpu + b.cpu;
  const runs = a.runs + b.runs;
  return {
    cpu,
    runs,
    averageNs: runs > 0 ? (cpu / 100 / runs) * 1e9 : 0,
    memory: a.memory + b.memory,
    objects: a.objects + b.objects,
    tasks: a.tasks + b.tasks,
    calls: a.calls + b.calls,
  };
}

const nothing = sumsOf(noRates, 0, 0);

function compare(a: Row, b: Row, { sort, isReversed }: Choice): number {
  const byLabel = a.label < b.label ? -1 : a.label > b.label ? 1 : a.key < b.key ? -1 : 1;
  const order = sort === 'label' ? byLabel : b[sort] - a[sort] || byLabel;
  return isReversed ? -order : order;
}

function sorted(rows: readonly Row[], choice: Choice): Row[] {
  return [...rows].sort((a, b) => compare(a, b, choice));
}

function matching(filter: string): (row: Row) => boolean {
  const wanted = filter.toLowerCase();
  return ({ label, program }) => {
    if (label.toLowerCase().includes(wanted)) return true;
    if (!program) return false;
    const { hostId, type, creator } = program.object;
    return [String(hostId), type, program.path, creator?.comm ?? '', String(creator?.pid ?? '')].some((text) =>
      text.toLowerCase().includes(wanted),
    );
  };
}

/** The name of a namespace in the tree, with its containers. */
function labelOf({ id, name, containers }: NamespaceUsage): string {
  const titles = containers.map(containerTitle).filter((title) => title !== '');
  const own = id === 0 ? 'init' : name || String(id);
  return titles.length > 0 ? `${own} (${titles.join(', ')})` : own;
}

function treeRows(measured: Measured, choice: Choice): Row[] {
  const children = new Map<number | null, NamespaceUsage[]>();
  for (const each of measured.sample.namespaces) {
    children.set(each.parent, [...(children.get(each.parent) ?? []), each]);
  }
  const isMatch = matching(choice.filter);

  /** The row of a namespace with the sum of everything below it, and the visible rows below. */
  const branch = (usage: NamespaceUsage, depth: number): { row: Row; total: Row; below: Row[] } | undefined => {
    const own = ownSums(measured, usage);
    const branches = (children.get(usage.id) ?? []).flatMap((child) => branch(child, depth + 1) ?? []);
    branches.sort((a, b) => compare(a.total, b.total, choice));
    const sum = branches.reduce((all, { total }) => add(all, total), own);
    const key = `namespace ${usage.id}`;
    const isFolded = branches.length > 0 ? choice.folded.has(key) : undefined;
    const rest = { key, label: labelOf(usage), depth, isFolded, target: { namespace: usage.id }, program: undefined };
    const row: Row = { ...rest, ...(isFolded ? sum : own) };
    if (branches.length === 0 && !isMatch(row)) return undefined;
    const below = isFolded ? [] : branches.flatMap((each) => [each.row, ...each.below]);
    return { row, total: { ...rest, ...sum }, below };
  };
  return (children.get(null) ?? []).flatMap((top) => {
    const found = branch(top, 0);
    return found ? [found.row, ...found.below] : [];
  });
}

function ownSums({ ofNamespace }: Measured, { id, memory, objects, tasks }: NamespaceUsage): Sums {
  return sumsOf(ofNamespace(id), memory, objects.map + objects.prog + objects.link + objects.btf, tasks ?? 0);
}

function programRows({ sample, ofObject }: Measured): Row[] {
  const paths = new Map(sample.namespaces.map(({ id, path }) => [id, path]));
  return sample.objects
    .filter(({ kind }) => kind === 'prog')
    .map((object) => ({
      key: `prog ${object.hostId}`,
      label: object.name || `(${object.type})`,
      depth: 0,
      isFolded: undefined,
      ...sumsOf(ofObject(object), object.memory, 1),
      target: { kind: object.kind, hostId: object.hostId },
      program: { object, path: paths.get(object.namespace) ?? String(object.namespace) },
    }));
}

/** For containers and pods the namespaces' numbers, including trapped calls; otherwise the objects'. */
function groupRows(measured: Measured, grouping: 'container' | 'pod' | 'creator' | 'type'): Row[] {
  const groups = new Map<string, Sums>();
  const put = (label: string, sums: Sums): void => {
    groups.set(label, add(groups.get(label) ?? nothing, sums));
  };
  if (grouping === 'container' || grouping === 'pod') {
    for (const usage of measured.sample.namespaces) put(containerLabel(usage, grouping), ownSums(measured, usage));
  } else {
    for (const object of measured.sample.objects) {
      const rates = object.kind === 'prog' ? measured.ofObject(object) : noRates;
      put(
        grouping === 'type' ? `${object.kind} ${object.type}` : creatorLabel(object),
        sumsOf(rates, object.memory, 1),
      );
    }
  }
  return [...groups].map(([label, sums]) => {
    return { key: label, label, depth: 0, isFolded: undefined, ...sums, target: undefined, program: undefined };
  });
}

/** Containers that share a namespace are listed together. */
function containerLabel({ containers }: NamespaceUsage, grouping: 'container' | 'pod'): string {
  const titles = containers.map((container) =>
    grouping === 'container'
      ? containerTitle(container) || container.id
      : [container.podNamespace, container.pod].filter((part) => part !== null).join('/'),
  );
  return [...new Set(titles)].filter((title) => title !== '').join(', ') || `(no ${grouping})`;
}

function creatorLabel({ creator }: ObjectUsage): string {
  return creator ? `${creator.comm} uid ${creator.uid}` : '(not recorded)';
}
