/**
 * Who makes a trapped call. A thread id is a number, and can be another task's in a moment.
 * So whatever is found by it counts only if the notification proves still valid afterwards:
 * then the caller has waited all the while, and the number was its own. What was opened
 * stays the caller's, whatever becomes of the number. This is the only file that looks
 * anything up by thread id.
 */
import type { TaskHandle, TaskStates } from '../recorder/task-states.js';
import type { Fd } from '../sys/fd.js';
import { openMemory, readMemory, writeMemory } from '../sys/memory.js';
import { ProcDir } from '../sys/proc-dir.js';
import { isValid, type Notification } from '../sys/seccomp.js';
import {
  type Capabilities,
  effectiveCapabilities,
  getFd,
  namespaceInode,
  openProcess,
  openThread,
  sendSignal,
} from '../sys/task.js';

const SIGKILL = 9;

/** Thrown when the caller is found to be gone: there is nobody to answer. */
export class CallerGone extends Error {}

/** What a handler needs of the caller before it runs; the rest is not paid for. */
export interface Needs {
  /** It writes to the caller's memory. */
  readonly memory?: true;
  /** It asks for the caller's capabilities. */
  readonly rights?: true;
}

export class Caller implements Disposable {
  #notification: Notification;
  readonly #listener: number;
  readonly #tasks: TaskStates;
  #memory: Fd | undefined;
  #thread: Fd | undefined;
  #directory: ProcDir | undefined;
  #task: TaskHandle | undefined;
  #capabilities: Capabilities = 0n;
  #userNs = 0;

  constructor(notification: Notification, listener: number, tasks: TaskStates) {
    this.#notification = notification;
    this.#listener = listener;
    this.#tasks = tasks;
  }

  /**
   * Looks at all that is needed, then whether the caller still waits: what was read from its
   * memory before counts from here on, too. @throws CallerGone
   */
  identify(needs: Needs, needsTask: boolean): void {
    this.#look((tid) => {
      if (needs.memory) this.#memory = openMemory(tid);
      if (needs.rights) this.#capabilities = effectiveCapabilities(tid);
      if (needs.rights) this.#userNs = namespaceInode(tid, 'user');
      if (needsTask) this.#task = this.#tasks.open(tid);
    });
  }

  /** Effective, in its own user namespace. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** Its user namespace: an inode. */
  get userNs(): number {
    return this.#userNs;
  }

  /** Its state in the recorder: open as long as the call. @throws CallerGone */
  get task(): TaskHandle {
    this.#task ??= this.#look((tid) => this.#tasks.open(tid));
    return this.#task;
  }

  /** Its directory in /proc: open as long as the call. @throws CallerGone */
  get directory(): ProcDir {
    this.#directory ??= this.#look((tid) => new ProcDir(tid));
    return this.#directory;
  }

  /** A pidfd that its fds can be copied through: open as long as the call. @throws CallerGone */
  get thread(): Fd {
    this.#thread ??= this.#look((tid) => openThread(tid, () => leaderOf(this.directory)));
    return this.#thread;
  }

  /** A copy of one of its fds. -EBADF and others as of pidfd_getfd(2). @throws CallerGone */
  takeFd(fd: number): Fd {
    return getFd(this.thread, fd);
  }

  /** Copies its memory before it is known to wait still: see {@link identify}. Returns how much could be read. */
  peek(address: number, into: Buffer, length: number): number {
    return readMemory(this.#notification.tid, address, into, length);
  }

  /** Copies its memory up to where it cannot be read; returns how much that was. @throws CallerGone */
  read(address: number, into: Buffer, length: number): number {
    return this.#look((tid) => readMemory(tid, address, into, length));
  }

  /** Writes its memory; false for EFAULT. */
  write(address: number, from: Buffer, length: number): boolean {
    return this.#memory !== undefined && writeMemory(this.#memory, address, from, length);
  }

  /** The notification has moved in the journal. */
  follow(notification: Notification): void {
    this.#notification = notification;
  }

  /** For people. */
  get shown(): { readonly tid: number } {
    return { tid: this.#notification.tid };
  }

  /** For a table of callers that is only a hint: after its end it may stand for another task. */
  get hint(): number {
    return this.#notification.tid;
  }

  close(): void {
    this.#memory?.close();
    this.#thread?.close();
    this.#directory?.close();
    this.#task?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #look<T>(by: (tid: number) => T): T {
    const found = by(this.#notification.tid);
    if (isValid(this.#listener, this.#notification.buffer)) return found;
    if (typeof found === 'object' && found !== null && Symbol.dispose in found) {
      (found as Disposable)[Symbol.dispose]();
    }
    throw new CallerGone();
  }
}

/** Kills the caller of a notification with its whole process, and nobody else. False if it does not wait any more. */
export function killCaller(notification: Notification, listener: number): boolean {
  using directory = new ProcDir(notification.tid);
  using leader = openProcess(leaderOf(directory));
  return leader.isOpen && isValid(listener, notification.buffer) && sendSignal(leader, SIGKILL) === 0;
}

/** The thread group id of a thread, or 0. */
function leaderOf(directory: ProcDir): number {
  return Number(/^Tgid:\t(\d+)/m.exec(directory.status())?.[1] ?? 0);
}
