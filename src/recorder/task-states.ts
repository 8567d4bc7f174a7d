/**
 * The recorder's state of single threads. Through the map by a pidfd; before Linux 6.9,
 * which has no pidfd of a thread that is not the first of its process, by an iterator
 * over all tasks.
 */
import { mapLookup, mapUpdate } from '../sys/bpf.js';
import { bpfns_task, bpfns_task_request } from '../sys/contract.gen.js';
import { E } from '../sys/errno.js';
import type { Attached } from '../sys/libbpf.js';
import { close, read } from '../sys/libc.js';
import { hasThreadPidfd, openProcess, openThread } from '../sys/task.js';
import type { Recorder } from './recorder.js';

/** Namespace ids; 0 is init. */
export interface TaskState {
  readonly ns: number;
  /** Of the next child made by clone3(); 0: the thread's own. */
  readonly next: number;
}

export class TaskStates {
  readonly #recorder: Recorder;
  readonly #hasThreadPidfd = hasThreadPidfd() > 0;
  #iterator: Attached | undefined;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** undefined if the thread is gone or has none. */
  read(tid: number): TaskState | undefined {
    return this.#withPidfd(
      tid,
      (pidfd) => {
        const value = Buffer.alloc(bpfns_task.sizeof);
        if (mapLookup(this.#recorder.mapFd('tasks'), u32(pidfd), value) < 0) return undefined;
        return { ns: value.readUInt32LE(bpfns_task.ns), next: value.readUInt32LE(bpfns_task.next) };
      },
      () => this.#iterate(tid),
    );
  }

  /** @returns -ESRCH if the thread is gone, -ENOMEM */
  write(tid: number, state: TaskState): number {
    return this.#withPidfd(
      tid,
      (pidfd) => (pidfd < 0 ? pidfd : this.writeByPidfd(pidfd, state)),
      () => (this.#iterate(tid, state) ? 0 : -E.ESRCH),
    );
  }

  writeByPidfd(pidfd: number, { ns, next }: TaskState): number {
    const value = Buffer.alloc(bpfns_task.sizeof);
    value.writeUInt32LE(ns, bpfns_task.ns);
    value.writeUInt32LE(next, bpfns_task.next);
    return mapUpdate(this.#recorder.mapFd('tasks'), u32(pidfd), value);
  }

  close(): void {
    this.#iterator?.close();
  }

  #withPidfd<T>(tid: number, usePidfd: (pidfd: number) => T, otherwise: () => T): T {
    const pidfd = this.#hasThreadPidfd ? openThread(tid, () => tid) : openProcess(tid);
    if (pidfd < 0 && !this.#hasThreadPidfd) return otherwise();
    try {
      return usePidfd(pidfd);
    } finally {
      if (pidfd >= 0) close(pidfd);
    }
  }

  #iterate(tid: number, state?: TaskState): TaskState | undefined {
    this.#iterator ??= this.#recorder.attachTaskIterator();
    const request = Buffer.alloc(bpfns_task_request.sizeof);
    request.writeUInt32LE(tid, bpfns_task_request.tid);
    request.writeUInt32LE(state ? 1 : 0, bpfns_task_request.write);
    request.writeUInt32LE(state?.ns ?? 0, bpfns_task_request.ns);
    request.writeUInt32LE(state?.next ?? 0, bpfns_task_request.next);
    mapUpdate(this.#recorder.requestFd, u32(0), request);
    const iterator = this.#iterator.iterate();
    read(iterator, Buffer.alloc(16), 16); // the program writes nothing: one read runs it over all tasks
    close(iterator);
    mapLookup(this.#recorder.requestFd, u32(0), request);
    if (request.readUInt32LE(bpfns_task_request.done) === 0) return undefined;
    return { ns: request.readUInt32LE(bpfns_task_request.ns), next: request.readUInt32LE(bpfns_task_request.next) };
  }
}

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
}
