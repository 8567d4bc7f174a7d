/** What the probing thread shares with the one that waits for it. */
export interface ListenerAnswers {
  readonly buffer: SharedArrayBuffer;
}

/** Places in the shared array: 1 when done, then results of system calls (>= 0 or -errno). */
export const LISTENER_SLOT = { done: 0, install: 1, addFd: 2, syncWakeUp: 3, count: 4 } as const;
