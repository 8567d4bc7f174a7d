/** The data of the page: the last sample with its rates, the last minutes for the plots, the last events. */
import type { Event } from '../control/events.js';
import { type Measured, Meter } from '../control/rates.js';
import { SampleReader, type WatchLine } from '../control/usage.js';

/** The number of samples for the plots: five minutes. */
const HISTORY = 300;
/** The number of namespaces with a line of their own in a plot. */
const LINES = 5;
/** The number of stored events. */
const EVENTS = 500;

export type TimedEvent = Event & { readonly time: string; readonly key: number };

/** One moment of the plots, by the id of the namespace. */
export interface Moment {
  /** Seconds since 1970. */
  readonly time: number;
  readonly cpu: ReadonlyMap<number, number>;
  readonly memory: ReadonlyMap<number, number>;
}

export interface State {
  readonly measured: Measured | undefined;
  readonly history: readonly Moment[];
  /** The newest first. */
  readonly events: readonly TimedEvent[];
  readonly isConnected: boolean;
}

export class Store {
  #state: State = { measured: undefined, history: [], events: [], isConnected: false };
  readonly #onChange: (state: State) => void;
  #events = 0;

  constructor(onChange: (state: State) => void) {
    this.#onChange = onChange;
    this.#followSamples();
    this.#followEvents();
  }

  #change(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    this.#onChange(this.#state);
  }

  /** After an error the browser reconnects by itself, and the data starts again. */
  #followSamples(): void {
    const source = new EventSource('/api/samples');
    let reader = new SampleReader();
    let meter = new Meter();
    source.onopen = () => {
      reader = new SampleReader();
      meter = new Meter();
    };
    source.onerror = () => {
      this.#change({ isConnected: false });
      reopen(source, () => this.#followSamples());
    };
    source.onmessage = ({ data }: MessageEvent<string>) => {
      performance.mark('sample');
      for (const line of data.split('\n')) {
        const sample = reader.take(JSON.parse(line) as WatchLine);
        if (sample) this.#show(meter.measure(sample));
      }
    };
  }

  #show(measured: Measured): void {
    const { sample } = measured;
    const moment: Moment = {
      time: Date.parse(sample.time) / 1000,
      cpu: new Map(sample.namespaces.map(({ id }) => [id, measured.ofNamespace(id).cpu])),
      memory: new Map(sample.namespaces.map(({ id, memory }) => [id, memory])),
    };
    const history = [...this.#state.history, moment].slice(-HISTORY);
    this.#change({ measured, history, isConnected: true });
    requestAnimationFrame(() => performance.measure('update', 'sample'));
  }

  #followEvents(): void {
    const source = new EventSource('/api/events');
    source.onerror = () => reopen(source, () => this.#followEvents());
    source.onmessage = ({ data }: MessageEvent<string>) => {
      const event = { ...(JSON.parse(data) as Event & { time: string }), key: this.#events++ };
      this.#change({ events: [event, ...this.#state.events].slice(0, EVENTS) });
    };
  }
}

/** The browser gives up if the answer is no stream, as while the agent restarts. */
function reopen(source: EventSource, again: () => void): void {
  if (source.readyState !== EventSource.CLOSED) return;
  source.close();
  setTimeout(again, 1000);
}

/** The lines of a plot: the namespaces with the highest values in the visible time, and the sum of the others. */
export function series(
  history: readonly Moment[],
  key: 'cpu' | 'memory',
  names: ReadonlyMap<number, string>,
): { readonly labels: readonly string[]; readonly values: ReadonlyArray<readonly number[]> } {
  const totals = new Map<number, number>();
  for (const moment of history) for (const [id, value] of moment[key]) totals.set(id, (totals.get(id) ?? 0) + value);
  const top = [...totals]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LINES)
    .map(([id]) => id);
  const others = history.map((moment) => {
    let sum = 0;
    for (const [id, value] of moment[key]) if (!top.includes(id)) sum += value;
    return sum;
  });
  return {
    labels: [...top.map((id) => names.get(id) ?? `${id} (gone)`), 'all others'],
    values: [...top.map((id) => history.map((moment) => moment[key].get(id) ?? 0)), others],
  };
}
