/**
 * What the agent and its supervisor say to each other over Node's own channel between parent
 * and child. Fds are named by their numbers; the other side fetches them (pidfd_getfd).
 */

/** A listener, and the namespace (its id) that it was installed for. */
export interface SavedListener {
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
  readonly listeners: readonly SavedListener[];
}

export type ToSupervisor =
  /** First thing to a new supervisor, from the agent that has lost its own. */
  | { readonly op: 'adopt'; readonly estate: Estate }
  | { readonly op: 'save'; readonly listener: SavedListener }
  | { readonly op: 'drop'; readonly token: number }
  /** The agent is up: a crash from now on is none of the start. */
  | { readonly op: 'serving' }
  /** The agent ends because nothing needs it: the supervisor is to end too. */
  | { readonly op: 'leaving' };

export type FromSupervisor =
  /** First thing after the start: what earlier agents left. */
  { readonly op: 'begin'; readonly estate: Estate } | { readonly op: 'saved'; readonly token: number };
