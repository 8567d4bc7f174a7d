/** The objects of all namespaces or of one. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Measured } from '../control/rates.js';
import type { ObjectUsage } from '../control/usage.js';
import { bytes, count, percent, visible } from './format.js';
import { Grid, type GridColumn } from './grid.js';

interface ObjectsProps {
  readonly measured: Measured;
  readonly search: string;
  readonly namespace: number | undefined;
  readonly selected: Pick<ObjectUsage, 'kind' | 'hostId'> | undefined;
  readonly onSelect: (object: ObjectUsage) => void;
}

export function Objects({ measured, search, namespace, selected, onSelect }: ObjectsProps): JSX.Element {
  const { sample, ofObject } = measured;
  const rows = useMemo(() => {
    const paths = new Map(sample.namespaces.map(({ id, path }) => [id, path]));
    const wanted = search.trim().toLowerCase();
    const isNumber = /^\d+$/.test(wanted);
    const matches = ({ hostId, id, name, type, creator, namespace: owner }: ObjectUsage): boolean => {
      if (wanted === '') return true;
      if (isNumber) return [hostId, id, creator?.pid].includes(Number(wanted));
      return `${name} ${type} ${creator?.comm ?? ''} ${paths.get(owner) ?? ''}`.toLowerCase().includes(wanted);
    };
    const found = sample.objects.filter(
      (each) => (namespace === undefined || each.namespace === namespace) && matches(each),
    );
    const cpu = new Map(found.map((each) => [each, each.kind === 'prog' ? ofObject(each).cpu : 0]));
    return found.sort((a, b) => (cpu.get(b) ?? 0) - (cpu.get(a) ?? 0) || b.memory - a.memory);
  }, [sample, search, namespace]);
  const paths = new Map(sample.namespaces.map(({ id, path }) => [id, path]));
  const ofProgram = (object: ObjectUsage, show: (rates: ReturnType<typeof ofObject>) => string): string =>
    object.kind === 'prog' ? show(ofObject(object)) : '';
  const ownerColumn: GridColumn<ObjectUsage> = {
    title: 'Namespace',
    cell: ({ namespace: owner }) => visible(paths.get(owner) ?? String(owner)),
  };
  const columns: ReadonlyArray<GridColumn<ObjectUsage>> = [
    { title: 'Object', cell: ({ kind, id }) => `${kind} ${id}` },
    { title: 'Host id', isNumber: true, cell: ({ hostId }) => String(hostId) },
    // Of one namespace it would say the same in every row.
    ...(namespace === undefined ? [ownerColumn] : []),
    { title: 'Type', share: 'large', cell: ({ type }) => type },
    { title: 'Name', cell: ({ name }) => visible(name) },
    {
      title: 'Creator',
      share: 'large',
      cell: ({ creator }) => (creator ? visible(`${creator.comm}[${creator.pid}]`) : ''),
    },
    { title: 'CPU', isNumber: true, share: 'small', cell: (each) => ofProgram(each, ({ cpu }) => percent(cpu)) },
    { title: 'Events/s', isNumber: true, share: 'small', cell: (each) => ofProgram(each, ({ runs }) => count(runs)) },
    { title: 'Memory', isNumber: true, cell: ({ memory }) => bytes(memory) },
  ];
  return (
    <Grid
      label="objects"
      columns={columns}
      rows={rows}
      keyOf={({ kind, hostId }) => `${kind}-${hostId}`}
      selected={selected ? `${selected.kind}-${selected.hostId}` : undefined}
      onSelect={onSelect}
      empty="No object matches."
    />
  );
}
