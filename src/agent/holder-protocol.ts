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
  /** The id of the container whose runtime sent it; '' if it came another way. */
  readonly container: string;
}

/** What a process has that another is to go on with. */
export interface Estate {
  /** Whose the fds are. */
  readonly pid: number;
  readonly journal: number;
  readonly listeners: readonly HeldListener[];
}

export type ToHolder =
  /** First thing to a new holder, from the agent that has lost its own. */
  | { readonly op: 'adopt'; readonly estate: Estate }
  | { readonly op: 'hold'; readonly listener: HeldListener }
  | { readonly op: 'drop'; readonly token: number }
  /** The agent is up: a crash from now on is none of the start. */
  | { readonly op: 'serving' }
  /** The agent ends because nothing needs it: the holder is to end too. */
  | { readonly op: 'leaving' };

export type FromHolder =
  /** First thing after the start: what earlier agents left. */
  { readonly op: 'begin'; readonly estate: Estate } | { readonly op: 'held'; readonly token: number };
