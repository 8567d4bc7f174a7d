/** The page of `bpfns web`. All text goes through the DOM as text: guests choose many of the names. */
import { type JSX, render } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Measured } from '../control/rates.js';
import type { ObjectUsage } from '../control/usage.js';
import { Details, useProcess } from './details.js';
import { bytes, count, percent, visible } from './format.js';
import { Grid, type GridColumn } from './grid.js';
import { Namespaces } from './namespaces.js';
import { Objects } from './objects.js';
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
