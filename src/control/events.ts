/**
 * What happens in the agent, as `bpfns events --json` prints it: one JSON object a line.
 * docs/control-api.md describes every one; a test holds the two together.
 */
import type { ObjectEvent } from '../model/object-event.js';

/** When, as an ISO 8601 time in UTC, stands in each as `time`. */
export type Event =
  | NamespaceEvent
  | ObjectEvent
  | { readonly event: 'call-refused'; readonly command: string; readonly tid: number; readonly namespace: number }
  | ({ readonly event: 'container-joined'; readonly pid: number } & ContainerFields)
  | ({ readonly event: 'container-left' } & ContainerFields)
  | { readonly event: 'dropped'; readonly count: number };

export interface NamespaceEvent {
  readonly event: 'namespace-created' | 'namespace-gone';
  readonly namespace: number;
  readonly path: string;
  readonly level: number;
}

export interface ContainerFields {
  /** Its id. */
  readonly container: string;
  readonly namespace: number;
  readonly path: string;
  /** What its engine's annotations say. */
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
  'container-joined',
  'container-left',
  'dropped',
] as const satisfies ReadonlyArray<Event['event']>;

/** A line without JSON, for people. */
export function formatEvent({ event, time, ...details }: Event & { readonly time: string }): string {
  const known = Object.entries(details).filter(([, value]) => value !== null);
  const fields = known.map(([key, value]) => `${key}=${String(value)}`);
  return [time, event, ...fields].join(' ');
}
