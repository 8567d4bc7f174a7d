/** The tree of namespaces. */
import type { JSX } from 'preact';
import type { Measured } from '../control/rates.js';
import type { NamespaceUsage } from '../control/usage.js';
import { bytes, containersOf, count, percent, visible } from './format.js';
import { Grid, type GridColumn } from './grid.js';

interface NamespacesProps {
  readonly measured: Measured;
  readonly search: string;
  readonly folded: ReadonlySet<number>;
  readonly selected: number | undefined;
  readonly onSelect: (id: number) => void;
  readonly onFold: (id: number, isFolded: boolean) => void;
}

export function Namespaces({ measured, search, folded, selected, onSelect, onFold }: NamespacesProps): JSX.Element {
  const { sample, ofNamespace } = measured;
  const children = new Map<number | null, NamespaceUsage[]>();
  for (const each of sample.namespaces) {
    const siblings = children.get(each.parent);
    if (siblings) siblings.push(each);
    else children.set(each.parent, [each]);
  }
  const wanted = search.trim().toLowerCase();
  const matches = (usage: NamespaceUsage): boolean =>
    `${usage.path} ${usage.id} ${containersOf(usage)}`.toLowerCase().includes(wanted);
  const below = (parent: number | null): NamespaceUsage[] =>
    (children.get(parent) ?? []).flatMap((usage) => {
      const rest = below(usage.id);
      return rest.length > 0 || matches(usage) ? [usage, ...(folded.has(usage.id) ? [] : rest)] : [];
    });
  const hasContainers = sample.namespaces.some(({ containers }) => containers.length > 0);
  const columns: ReadonlyArray<GridColumn<NamespaceUsage>> = [
    { title: 'Namespace', cell: (usage) => visible(usage.id === 0 ? 'init' : usage.name || String(usage.id)) },
    ...(hasContainers ? [{ title: 'Containers', cell: (usage: NamespaceUsage) => visible(containersOf(usage)) }] : []),
    { title: 'CPU', isNumber: true, cell: ({ id }) => percent(ofNamespace(id).cpu) },
    { title: 'Events/s', isNumber: true, cell: ({ id }) => count(ofNamespace(id).runs) },
    { title: 'Memory', isNumber: true, cell: ({ memory }) => bytes(memory) },
    {
      title: 'Objects',
      isNumber: true,
      cell: ({ objects: { map, prog, link, btf } }) => count(map + prog + link + btf),
    },
    { title: 'Tasks', isNumber: true, cell: ({ tasks }) => (tasks === null ? '' : count(tasks)) },
    { title: 'Calls/s', isNumber: true, cell: ({ id }) => count(ofNamespace(id).calls) },
  ];
  return (
    <Grid
      label="namespaces"
      columns={columns}
      rows={below(null)}
      keyOf={({ id }) => String(id)}
      selected={selected === undefined ? undefined : String(selected)}
      onSelect={({ id }) => onSelect(id)}
      level={({ level }) => level + 1}
      isOpen={({ id }) => (children.has(id) ? !folded.has(id) : undefined)}
      onToggle={({ id }, open) => onFold(id, !open)}
      empty="No namespace matches."
    />
  );
}
