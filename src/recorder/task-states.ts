/**
 * The recorder's state of single threads. It is accessed in the map by a pidfd. Before Linux 6.9,
 * where only the first thread of a process has a pidfd, an iterator over all tasks finds the thread
 * by its number and start time.
 */
import { mapLookup, mapUpdate } from '../sys/bpf.js';
import { BPFNS_LOOKED_AT, bpfns_task, bpfns_task_request } from '../sys/contract.gen.js';
import { E } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import type { Attached } from '../sys/libbpf.js';
import { hasThreadPidfd, openProcess, openThread } from '../sys/task.js';
import { u32Key } from './keys.js';
import type { Recorder } from './recorder.js';

/** Namespace ids; 0 is init. */
export interface TaskState {
  readonly ns: number;
  /** The namespace of the next child that clone3() creates; 0 for the thread's own. */
  readonly next: number;
}

/** A handle of one thread. It stays valid while the thread lives, even if its number passes to another. */
export interface TaskHandle extends Disposable {
  /** Undefined if the thread has no state, or is gone. */
  read(): TaskState | undefined;
  /** @returns 0, -ESRCH if the thread is gone, -ENOMEM */
  write(state: TaskState): number;
  close(): void;
}

export class TaskStates {
  readonly #recorder: Recorder;
  readonly #hasThreadPidfd = hasThreadPidfd() > 0;
  readonly #iterators = new Map<string, Attached>();

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** Opens the thread that has this number now. The caller checks afterwards that it is the right one. */
  open(tid: number): TaskHandle {
    const pidfd = this.#hasThreadPidfd ? openThread(tid, () => tid) : openProcess(tid);
    return pidfd.isOpen || this.#hasThreadPidfd
      ? new PidfdHandle(this.#recorder.mapFd('tasks'), pidfd)
      : new NumberedHandle(tid, (request) => this.#ask(request));
  }

  /** Whether no hook saw the return of the last call of that process that creates. The pidfd stays the caller's. */
  wasMissed(pidfd: Fd): boolean {
    const value = lookUp(this.#recorder.mapFd('tasks'), pidfd);
    return value !== undefined && isOpenNote(value.readUInt32LE(bpfns_task.cmd));
  }

  /**
   * Writes the state of the process behind a pidfd, which stays the caller's. @returns -ESRCH if it
   * is gone, -ENOMEM
   */
  writeByPidfd(pidfd: Fd, state: TaskState): number {
    return writeState(this.#recorder.mapFd('tasks'), pidfd, state);
  }

  /** Like {@link writeByPidfd}, but reads. Undefined if the process has no state, or is gone. */
  readByPidfd(pidfd: Fd): TaskState | undefined {
    return readState(this.#recorder.mapFd('tasks'), pidfd);
  }

  /** Marks the tasks that came under a bound filter before it was bound. */
  markMembers(): void {
    this.#walk('mark_members');
  }

  close(): void {
    for (const iterator of this.#iterators.values()) iterator.close();
  }

  /** Makes the program `one_task` carry out `request`, and write its answer there. */
  #ask(request: Buffer): void {
    mapUpdate(this.#recorder.requestFd, u32Key(0), request);
    this.#walk('one_task');
    mapLookup(this.#recorder.requestFd, u32Key(0), request);
  }

  #walk(program: 'one_task' | 'mark_members'): void {
    const attached = this.#iterators.get(program) ?? this.#recorder.attachTaskIterator(program);
    this.#iterators.set(program, attached);
    attached.runOverAll();
  }
}

/** Whether the `cmd` of a task that is not inside such a call is left over from one. */
export function isOpenNote(cmd: number): boolean {
  return cmd !== 0 && (cmd & BPFNS_LOOKED_AT) === 0;
}

function lookUp(map: number, pidfd: Fd): Buffer | undefined {
  const value = Buffer.alloc(bpfns_task.sizeof);
  return pidfd.isOpen && mapLookup(map, u32Key(pidfd.number), value) >= 0 ? value : undefined;
}

function readState(map: number, pidfd: Fd): TaskState | undefined {
  const value = lookUp(map, pidfd);
  return value && { ns: value.readUInt32LE(bpfns_task.ns), next: value.readUInt32LE(bpfns_task.next) };
}

function writeState(map: number, pidfd: Fd, { ns, next }: TaskState): number {
  if (!pidfd.isOpen) return pidfd.number;
  const value = Buffer.alloc(bpfns_task.sizeof);
  value.writeUInt32LE(ns, bpfns_task.ns);
  value.writeUInt32LE(next, bpfns_task.next);
  const result = mapUpdate(map, u32Key(pidfd.number), value);
  // The kernel's error for a task that is gone (bpf_pid_task_storage_update_elem()).
  return result === -E.ENOENT ? -E.ESRCH : result;
}

class PidfdHandle implements TaskHandle {
  readonly #map: number;
  readonly #pidfd: Fd;

  constructor(map: number, pidfd: Fd) {
    this.#map = map;
    this.#pidfd = pidfd;
  }

  read(): TaskState | undefined {
    return readState(this.#map, this.#pidfd);
  }

  write(state: TaskState): number {
    return writeState(this.#map, this.#pidfd, state);
  }

  close(): void {
    this.#pidfd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The start time in nanoseconds since boot; 0 if the thread does not exist. */
type StartTime = bigint;

class NumberedHandle implements TaskHandle {
  readonly #tid: number;
  readonly #ask: (request: Buffer) => void;
  readonly #started: StartTime;
  readonly #first: TaskState | undefined;

  constructor(tid: number, ask: (request: Buffer) => void) {
    this.#tid = tid;
    this.#ask = ask;
    const request = this.#request(0n);
    ask(request);
    this.#started = request.readBigUInt64LE(bpfns_task_request.start_ns);
    this.#first = answerOf(request);
  }

  read(): TaskState | undefined {
    return this.#first;
  }

  write({ ns, next }: TaskState): number {
    if (this.#started === 0n) return -E.ESRCH;
    const request = this.#request(this.#started);
    request.writeUInt32LE(1, bpfns_task_request.write);
    request.writeUInt32LE(ns, bpfns_task_request.ns);
    request.writeUInt32LE(next, bpfns_task_request.next);
    this.#ask(request);
    return request.readUInt32LE(bpfns_task_request.done) === 0 ? -E.ESRCH : 0;
  }

  #request(started: StartTime): Buffer {
    const request = Buffer.alloc(bpfns_task_request.sizeof);
    request.writeUInt32LE(this.#tid, bpfns_task_request.tid);
    request.writeBigUInt64LE(started, bpfns_task_request.start_ns);
    return request;
  }

  close(): void {}

  [Symbol.dispose](): void {}
}

function answerOf(request: Buffer): TaskState | undefined {
  if (request.readUInt32LE(bpfns_task_request.done) === 0) return undefined;
  return { ns: request.readUInt32LE(bpfns_task_request.ns), next: request.readUInt32LE(bpfns_task_request.next) };
}
