/**
 * The protocol between the agent and its supervisor, over Node's channel between parent and child.
 * Messages name fds by their numbers; the other side copies them (pidfd_getfd).
 */

/** A listener, and the id of the namespace for which it was installed. */
export interface SavedListener {
  /** Identifies the listener for its whole life, also in the journal. */
  readonly token: number;
  /** Its number in the process that sends the message. */
  readonly fd: number;
  readonly namespace: number;
  /** The id of the container whose runtime sent it; '' if no runtime sent it. */
  readonly container: string;
}

/** What one process has and another continues with. */
export interface Estate {
  /** The process that has the fds. */
  readonly pid: number;
  readonly journal: number;
  readonly listeners: readonly SavedListener[];
}

export type ToSupervisor =
  /** The first message to a new supervisor, from an agent that lost its own. */
  | { readonly op: 'adopt'; readonly estate: Estate }
  | { readonly op: 'save'; readonly listener: SavedListener }
  | { readonly op: 'drop'; readonly token: number }
  /** The agent is up: later crashes are not failures of the start. */
  | { readonly op: 'serving' }
  /** The agent exits because nothing needs it, or another daemon replaced it. The supervisor has to exit too. */
  | { readonly op: 'leaving'; readonly isReplaced: boolean };

export type FromSupervisor =
  /** The first message after the start: what earlier agents left. */
  { readonly op: 'begin'; readonly estate: Estate } | { readonly op: 'saved'; readonly token: number };

/** What a supervisor does once another daemon has everything: exit, or stay and do nothing until it is stopped. */
export type WhenReplaced = 'end' | 'stay';
