/**
 * What the agent and its holder say to each other over Node's own channel between parent
 * and child. Fds are named by their numbers; the other side fetches them (pidfd_getfd).
 */

/** A listener, and the namespace (its id) that it was installed for. */
export interface HeldListener {
  /** Names it for good, in the journal too. */
  readonly token: number;
  /** Its number in the process that says so. */
  readonly fd: number;
  readonly namespace: number;
}

export type ToHolder =
  | { readonly op: 'hold'; readonly request: number; readonly fd: number; readonly namespace: number }
  | { readonly op: 'drop'; readonly token: number };

export type FromHolder =
  /** First thing after the start: what earlier agents left. */
  | { readonly op: 'begin'; readonly journal: number; readonly listeners: readonly HeldListener[] }
  | { readonly op: 'held'; readonly request: number; readonly token: number };
