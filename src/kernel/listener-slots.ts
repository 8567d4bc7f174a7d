/** Memory that the probing thread shares with the thread that waits for it. */
export interface ListenerAnswers {
  readonly buffer: SharedArrayBuffer;
}

/** Indices of the shared array: `done` becomes 1 at the end; the others are results of system calls (>= 0 or -errno). */
export const LISTENER_SLOT = { done: 0, install: 1, addFd: 2, syncWakeUp: 3, count: 4 } as const;
