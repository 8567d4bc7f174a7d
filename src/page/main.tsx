/** The page of `bpfns web`. All text goes through the DOM as text: guests choose many of the names. */
import { type JSX, render } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { WhoReply } from '../control/protocol.js';
import type { Measured } from '../control/rates.js';
import type { NamespaceUsage, ObjectUsage } from '../control/usage.js';
import { bytes, containersOf, count, percent, visible } from './format.js';
import { Grid, type GridColumn } from './grid.js';
import { Plot } from './plot.js';
import { type State, Store, series, type TimedEvent } from './store.js';

function Page(): JSX.Element {
  const [state, setState] = useState<State>();
  const [search, setSearch] = useState('');
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [namespace, setNamespace] = useState<number>();
  const [object, setObject] = useState<Pick<ObjectUsage, 'kind' | 'hostId'>>();
  useEffect(() => void new Store(setState), []);
  const process = useProcess(search);

  const measured = state?.measured;
  if (!measured)
    return (
      <p class="waiting" role="status">
        {state ? 'The agent does not answer. Trying again …' : 'Connecting …'}
      </p>
    );
  const chosen = measured.sample.namespaces.find(({ id }) => id === namespace);
  return (
    <>
      <header>
        <h1>bpfns</h1>
        <p role="status" class={state.isConnected ? 'connected' : 'lost'}>
          {state.isConnected
            ? `${measured.sample.time.slice(11, 19)} UTC`
            : 'The agent does not answer. Trying again …'}
        </p>
        <Totals measured={measured} />
        <label class="search">
          Search
          <input
            type="search"
            value={search}
            placeholder="name, host id, id, pid"
            onInput={({ currentTarget }) => setSearch(currentTarget.value)}
          />
        </label>
      </header>
      {process === undefined ? null : (
        <p role="status" class="process">
          {process}
        </p>
      )}
      <main>
        <section aria-label="Plots" class="plots">
          <Plots state={state} />
        </section>
        <section aria-label="Namespaces">
          <h2>Namespaces</h2>
          <Namespaces
            measured={measured}
            search={search}
            folded={folded}
            selected={namespace}
            onSelect={(id) => setNamespace(id === namespace ? undefined : id)}
            onFold={(id, isFolded) => {
              const next = new Set(folded);
              if (isFolded) next.add(id);
              else next.delete(id);
              setFolded(next);
            }}
          />
        </section>
        <section aria-label="Objects">
          <h2>
            Objects {chosen ? `of ${visible(chosen.path)} ` : ''}
            {chosen ? (
              <button type="button" onClick={() => setNamespace(undefined)}>
                all
              </button>
            ) : null}
          </h2>
          <Objects measured={measured} search={search} namespace={namespace} selected={object} onSelect={setObject} />
          {object ? <Details object={object} onClose={() => setObject(undefined)} /> : null}
        </section>
        <section aria-label="Events">
          <h2>Events</h2>
          <Events events={state.events} />
        </section>
      </main>
    </>
  );
}

function Totals({ measured }: { readonly measured: Measured }): JSX.Element {
  const { sample, ofNamespace } = measured;
  const rates = sample.namespaces.map(({ id }) => ofNamespace(id));
  const sum = (key: 'cpu' | 'runs' | 'calls'): number => rates.reduce((all, each) => all + each[key], 0);
  const memory = sample.namespaces.reduce((all, each) => all + each.memory, 0);
  return (
    <dl class="totals">
      <div>
        <dt>CPU</dt>
        <dd>{sample.counting ? percent(sum('cpu')) : 'not counted'}</dd>
      </div>
      <div>
        <dt>Events/s</dt>
        <dd>{count(sum('runs'))}</dd>
      </div>
      <div>
        <dt>Memory</dt>
        <dd>{bytes(memory)}</dd>
      </div>
      <div>
        <dt>Calls/s</dt>
        <dd>{count(sum('calls'))}</dd>
      </div>
      <div>
        <dt>Namespaces</dt>
        <dd>{count(sample.namespaces.length)}</dd>
      </div>
      <div>
        <dt>Objects</dt>
        <dd>{count(sample.objects.length)}</dd>
      </div>
    </dl>
  );
}

function Plots({ state }: { readonly state: State }): JSX.Element {
  const names = new Map(state.measured?.sample.namespaces.map(({ id, path }) => [id, visible(path)]));
  const times = useMemo(() => state.history.map(({ time }) => time), [state.history]);
  const cpu = useMemo(() => series(state.history, 'cpu', names), [state.history]);
  const memory = useMemo(() => series(state.history, 'memory', names), [state.history]);
  return (
    <>
      <Plot title="CPU, percent of one" times={times} labels={cpu.labels} values={cpu.values} format={percent} />
      <Plot title="Memory" times={times} labels={memory.labels} values={memory.values} format={bytes} />
    </>
  );
}

interface NamespacesProps {
  readonly measured: Measured;
  readonly search: string;
  readonly folded: ReadonlySet<number>;
  readonly selected: number | undefined;
  readonly onSelect: (id: number) => void;
  readonly onFold: (id: number, isFolded: boolean) => void;
}

function Namespaces({ measured, search, folded, selected, onSelect, onFold }: NamespacesProps): JSX.Element {
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
  const columns: ReadonlyArray<GridColumn<NamespaceUsage>> = [
    { title: 'Namespace', cell: (usage) => visible(usage.id === 0 ? 'init' : usage.name || String(usage.id)) },
    { title: 'Containers', cell: (usage) => visible(containersOf(usage)) },
    { title: 'CPU', isNumber: true, cell: ({ id }) => percent(ofNamespace(id).cpu) },
    { title: 'Events/s', isNumber: true, cell: ({ id }) => count(ofNamespace(id).runs) },
    { title: 'Memory', isNumber: true, cell: ({ memory }) => bytes(memory) },
    {
      title: 'Objects',
      isNumber: true,
      cell: ({ objects: { map, prog, link, btf } }) => count(map + prog + link + btf),
    },
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

interface ObjectsProps {
  readonly measured: Measured;
  readonly search: string;
  readonly namespace: number | undefined;
  readonly selected: Pick<ObjectUsage, 'kind' | 'hostId'> | undefined;
  readonly onSelect: (object: ObjectUsage) => void;
}

function Objects({ measured, search, namespace, selected, onSelect }: ObjectsProps): JSX.Element {
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
  const columns: ReadonlyArray<GridColumn<ObjectUsage>> = [
    { title: 'Object', cell: ({ kind, id }) => `${kind} ${id}` },
    { title: 'Host id', isNumber: true, cell: ({ hostId }) => String(hostId) },
    { title: 'Namespace', cell: ({ namespace: owner }) => visible(paths.get(owner) ?? String(owner)) },
    { title: 'Type', cell: ({ type }) => type },
    { title: 'Name', cell: ({ name }) => visible(name) },
    { title: 'Creator', cell: ({ creator }) => (creator ? visible(`${creator.comm}[${creator.pid}]`) : '') },
    { title: 'CPU', isNumber: true, cell: (each) => ofProgram(each, ({ cpu }) => percent(cpu)) },
    { title: 'Events/s', isNumber: true, cell: (each) => ofProgram(each, ({ runs }) => count(runs)) },
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

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(path);
  const reply = (await response.json()) as T | { readonly error: { readonly message: string } };
  if (typeof reply === 'object' && reply !== null && 'error' in reply) throw new Error(reply.error.message);
  return reply as T;
}

function Details({
  object,
  onClose,
}: {
  readonly object: Pick<ObjectUsage, 'kind' | 'hostId'>;
  readonly onClose: () => void;
}): JSX.Element {
  const [report, setReport] = useState<WhoReply | string>('Looking …');
  const { kind, hostId } = object;
  useEffect(() => {
    let isCurrent = true;
    setReport('Looking …');
    ask<WhoReply>(`/api/who?kind=${kind}&id=${hostId}`).then(
      (reply) => isCurrent && setReport(reply),
      (error: unknown) => isCurrent && setReport(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      isCurrent = false;
    };
  }, [kind, hostId]);
  return (
    <aside class="details" aria-label="Details" aria-live="polite">
      <button type="button" class="close" onClick={onClose}>
        close
      </button>
      {typeof report === 'string' ? <p>{report}</p> : <Report report={report} />}
    </aside>
  );
}

function Report({ report }: { readonly report: WhoReply }): JSX.Element {
  const { creator, visibleIn, keptAliveBy } = report;
  return (
    <>
      <h3>{`${report.kind} ${report.hostId} ${visible(report.name)}, ${report.type}`}</h3>
      <dl>
        <dt>belongs to</dt>
        <dd>{visible(`${report.namespace.path}, where it is ${report.kind} ${report.id}`)}</dd>
        {report.containers.length > 0 ? <dt>container</dt> : null}
        {report.containers.length > 0 ? <dd>{visible(containersOf(report))}</dd> : null}
        <dt>made by</dt>
        <dd>
          {creator
            ? visible(
                `${creator.comm}[${creator.pid}], uid ${creator.uid}, ${creator.cgroup.path ?? ''}, at ${creator.time}`,
              )
            : 'not recorded'}
        </dd>
        <dt>visible in</dt>
        <dd>{visible(visibleIn.map(({ namespace, id }) => `${namespace.path} as ${id}`).join('; '))}</dd>
        <dt>kept alive by</dt>
        <dd>
          {keptAliveBy.length === 0 ? 'a reference that is not listed: a socket, a network device' : null}
          <ul>
            {keptAliveBy.map((reason) => (
              <li>{visible(reason)}</li>
            ))}
          </ul>
        </dd>
      </dl>
    </>
  );
}

/** What process a number in the search box is, if it is one's. */
function useProcess(search: string): string | undefined {
  const [found, setFound] = useState<string>();
  useEffect(() => {
    setFound(undefined);
    const pid = search.trim();
    if (!/^\d{1,9}$/.test(pid)) return undefined;
    const timer = setTimeout(() => {
      ask<{ path: string }>(`/api/task?pid=${pid}`).then(
        ({ path }) => setFound(`Process ${pid} is in namespace ${visible(path)}.`),
        () => setFound(undefined),
      );
    }, 300);
    return () => clearTimeout(timer);
  }, [search]);
  return found;
}

function Events({ events }: { readonly events: readonly TimedEvent[] }): JSX.Element {
  const columns: ReadonlyArray<GridColumn<TimedEvent>> = [
    { title: 'Time', cell: ({ time }) => time.slice(11, 23) },
    { title: 'Event', cell: ({ event }) => <span class={event === 'call-refused' ? 'refused' : ''}>{event}</span> },
    {
      title: 'What',
      cell: ({ time: _time, event: _event, key: _key, ...rest }) =>
        Object.entries(rest)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => `${name}=${visible(String(value))}`)
          .join(' '),
    },
  ];
  return (
    <Grid
      label="events"
      columns={columns}
      rows={events}
      keyOf={({ key }) => String(key)}
      selected={undefined}
      onSelect={() => undefined}
      empty="Nothing has happened since the page was opened."
    />
  );
}

const place = document.getElementById('page');
if (place) {
  place.replaceChildren();
  render(<Page />, place);
}
