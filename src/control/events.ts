/**
 * The events of the agent, as `bpfns events --json` prints them: one JSON object per line.
 * docs/control-api.md describes each; a test compares the two.
 */
import type { TracingMode } from '../model/namespaces.js';
import type { ObjectEvent } from '../model/object-event.js';

/** Each event also has a `time`: ISO 8601, in UTC. */
export type Event =
  | NamespaceEvent
  | ObjectEvent
  | { readonly event: 'call-refused'; readonly command: string; readonly tid: number; readonly namespace: number }
  | { readonly event: 'stats-enabled'; readonly tid: number; readonly namespace: number }
  | BudgetEvent
  /** A thread that the recorder had no memory to mark: it is in no namespace. */
  | { readonly event: 'task-lost'; readonly tid: number }
  /** At most so many calls of bpf(2), and so many forks, that no hook of the recorder saw. */
  | { readonly event: 'hooks-missed'; readonly missedCalls: number; readonly missedForks: number }
  | TracingRefused
  | ({ readonly event: 'container-joined'; readonly pid: number } & ContainerFields)
  | ({ readonly event: 'container-left' } & ContainerFields)
  | ({ readonly event: 'container-lost' } & ContainerFields)
  | { readonly event: 'dropped'; readonly count: number };

export interface NamespaceEvent {
  readonly event: 'namespace-created' | 'namespace-gone';
  readonly namespace: number;
  readonly path: string;
  readonly level: number;
  readonly tracing: TracingMode;
  /** What to know about the mode. */
  readonly note: string | null;
}

/** A top-level namespace, or what is below it, wanted more than its budget. */
export interface BudgetEvent {
  readonly event: 'over-budget';
  /** Objects were created and belong to init; a namespace was refused; a BTF of the kernel has no id. */
  readonly what: 'objects' | 'namespaces' | 'numbers';
  readonly count: number;
  readonly namespace: number;
  readonly path: string;
}

/** A program or event of a namespace that may not trace it all. */
export interface TracingRefused {
  readonly event: 'tracing-refused';
  readonly command: string;
  readonly tid: number;
  readonly namespace: number;
  readonly reason: string;
}

export interface ContainerFields {
  /** The container's id. */
  readonly container: string;
  readonly namespace: number;
  readonly path: string;
  /** From the engine's annotations. */
  readonly pod: string | null;
  readonly podNamespace: string | null;
  readonly name: string | null;
}

export const eventNames = [
  'namespace-created',
  'namespace-gone',
  'object-created',
  'object-gone',
  'call-refused',
  'stats-enabled',
  'over-budget',
  'task-lost',
  'hooks-missed',
  'tracing-refused',
  'container-joined',
  'container-left',
  'container-lost',
  'dropped',
] as const satisfies ReadonlyArray<Event['event']>;

/** One line of text, for people. */
export function formatEvent({ event, time, ...details }: Event & { readonly time: string }): string {
  const known = Object.entries(details).filter(([, value]) => value !== null);
  const fields = known.map(([key, value]) => `${key}=${String(value)}`);
  return [time, event, ...fields].join(' ');
}
