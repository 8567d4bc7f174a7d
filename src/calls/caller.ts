/**
 * The caller of a trapped call. A thread id is only a number, and can belong to another task a
 * moment later. What is found by it counts only if the notification proves valid afterwards: the
 * caller then waited all the time, and the number was its own. What was opened belongs to the
 * caller, whatever happens to the number. Long because no other file looks anything up by thread id.
 */
import { INIT, type NamespaceId, namespaceId } from '../model/ids.js';
import type { Eye } from '../recorder/eye.js';
import type { Recorder } from '../recorder/recorder.js';
import type { TaskHandle, TaskStates } from '../recorder/task-states.js';
import type { Block } from '../sys/block.js';
import { kindOfFd } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { type CopiedFd, copied, getForeignFd, type Owner } from '../sys/foreign-fd.js';
import { openMemory, type ProcessMemory, readMemory, writeMemory } from '../sys/memory.js';
import { ProcDir } from '../sys/proc-dir.js';
import { isValid, type Notification } from '../sys/seccomp.js';
import {
  effectiveCapabilities,
  namespaceInode,
  noRights,
  openProcess,
  openThread,
  openThreadAlone,
  Rights,
  sendSignal,
} from '../sys/task.js';
import type { KeptFds } from './kept-fds.js';
import type { Needs } from './needs.js';

const SIGKILL = 9;
/** False once the kernel has said so (before 6.9). */
let hasThreadPidfds = true;

/** Thrown if the caller is gone: there is nobody to answer. */
export class CallerGone extends Error {}

/**
 * How callers are examined: with the eye in the kernel, if there is one, and the memories that it
 * allows to keep open.
 */
export interface Eyes {
  readonly eye: Eye | undefined;
  /** By the address of the memory's structure. */
  readonly memories: KeptFds<ProcessMemory>;
  /** By thread id. */
  readonly threads: KeptFds;
}

export class Caller implements Disposable {
  #notification: Notification;
  readonly #listener: number;
  readonly #tasks: TaskStates;
  readonly #eyes: Eyes;
  readonly #owner: Owner;
  #memory: Fd | undefined;
  #thread: Fd | undefined;
  #directory: ProcDir | undefined;
  #task: TaskHandle | undefined;
  #rights = noRights;
  #userNs = 0;
  #wasMissed = false;
  #hasLooked = false;
  #namespace: NamespaceId = INIT;
  /** Like {@link #memory}, but this call does not close it. */
  #kept: ProcessMemory | undefined;
  /** What {@link takeObject} will return, if it is known before. */
  #object: CopiedFd | undefined;

  /** @param owner of all files that the caller has open */
  constructor(notification: Notification, listener: number, tasks: TaskStates, eyes: Eyes, owner: Owner) {
    this.#notification = notification;
    this.#listener = listener;
    this.#tasks = tasks;
    this.#eyes = eyes;
    this.#owner = owner;
  }

  /**
   * Looks up everything that is needed, then checks that the caller still waits. What was read from
   * its memory before is valid from here on, too.
   * @param object the fd of an object that is taken next; or -1
   * @param isNew whether no other caller was identified since the call was received
   * @throws CallerGone
   */
  identify(needs: Needs, needsTask: boolean, object = -1, isNew = false): void {
    if (this.#eyes.eye) this.#identifyByEye(this.#eyes.eye, needs, object, isNew);
    else this.#identifyBySystemCalls(needs, needsTask);
  }

  #identifyBySystemCalls(needs: Needs, needsTask: boolean): void {
    const { tid } = this.#notification;
    if (needs.memory) this.#memory = openMemory(tid);
    if (needs.rights) this.#rights = new Rights(effectiveCapabilities(tid));
    if (needs.rights) this.#userNs = namespaceInode(tid, 'user');
    if (needsTask) this.#task = this.#tasks.open(tid);
    this.#prove();
    if (this.#task) this.#namespace = namespaceId(this.#task.read()?.ns ?? INIT);
  }

  #identifyByEye(eye: Eye, needs: Needs, object: number, isNew: boolean): void {
    const { tid } = this.#notification;
    const fd = object < 0 ? undefined : this.#takeByKept(object);
    if (!eye.look(tid, fd?.isOpen ? fd.number : -1)) {
      fd?.close();
      throw new CallerGone();
    }
    if (fd) this.#object = copied(fd, eye.kind ?? kindOfFd(fd.number));
    const kept = needs.memory || needs.onlyAnswers ? this.#eyes.memories.get(eye.memory) : undefined;
    // A thread that had the number before the call was received, and has it still, is the caller.
    const isKnown = isNew && kept?.belongsTo(tid, eye.started);
    this.#kept = isKnown && needs.onlyAnswers ? kept : this.#proveMemory(needs, eye.memory, kept);
    this.#kept?.noteProof(tid, eye.started);
    this.#rights = eye.rights;
    this.#userNs = eye.userNs;
    this.#wasMissed = eye.wasMissed;
    this.#namespace = eye.namespace;
  }

  /** @returns the caller's memory, if it is open; it stays so for later calls @throws CallerGone */
  #proveMemory(needs: Needs, memory: number, kept: ProcessMemory | undefined): ProcessMemory | undefined {
    const isWanted = needs.memory || needs.onlyAnswers;
    const opened = isWanted && !kept ? openMemory(this.#notification.tid) : undefined;
    this.#prove(opened);
    if (!opened?.isOpen) return kept;
    // Now proved to belong to this caller, whose memory cannot have changed while it waits.
    this.#eyes.memories.keep(memory, opened);
    return opened;
  }

  /** By the effective capabilities, in the caller's own user namespace. */
  get rights(): Rights {
    return this.#rights;
  }

  /** The inode of its user namespace. */
  get userNs(): number {
    return this.#userNs;
  }

  /**
   * The namespace that the caller was put into or forked in; init if it is in none, or in one only
   * by its filter.
   */
  get namespace(): NamespaceId {
    return this.#namespace;
  }

  /**
   * If no hook saw its last call that creates return, records what that made; at the first time only, as an answer may
   * have thousands of ids. Without the eye only for the first thread of a process. @returns whether it looked
   */
  recordMissed(recorder: Recorder): boolean {
    if (this.#hasLooked) return false;
    this.#hasLooked = true;
    const { tid } = this.#notification;
    using leader = this.#eyes.eye ? undefined : openProcess(tid);
    if (!(leader ? this.#tasks.wasMissed(leader) : this.#wasMissed)) return false;
    recorder.recordLateOf(tid);
    return true;
  }

  /** Its state in the recorder. Open until the call ends. @throws CallerGone */
  get task(): TaskHandle {
    this.#task ??= this.#look((tid) => this.#tasks.open(tid));
    return this.#task;
  }

  /** Its directory in /proc. Open until the call ends. @throws CallerGone */
  get directory(): ProcDir {
    this.#directory ??= this.#look((tid) => new ProcDir(tid));
    return this.#directory;
  }

  /**
   * A pidfd through which its fds can be copied, for other threads of the agent. Open until the call
   * ends. @throws CallerGone
   */
  get thread(): Fd {
    this.#thread ??= this.#look((tid) => openThread(tid, () => this.directory.threadGroup));
    return this.#thread;
  }

  /**
   * A copy of one of its fds. -EBADF and other errors as from pidfd_getfd(2).
   * @throws CallerGone
   * @throws Refusal ENOMEM while too many files of the guest are being closed
   */
  takeFd(fd: number): Fd {
    const copy = this.#takeByKept(fd);
    if (copy) return copy;
    if (!this.#thread) this.#keepThread();
    return this.#takeByKept(fd) ?? getForeignFd(this.thread, fd, this.#owner);
  }

  /** The same, if it is of a BPF object. What {@link identify} was told is here already. @throws CallerGone */
  takeObject(fd: number): CopiedFd {
    const known = this.#object;
    this.#object = undefined;
    if (known) return known;
    const copy = this.takeFd(fd);
    return copied(copy, kindOfFd(copy.number));
  }

  /**
   * As {@link takeFd}, if a pidfd is there. It needs no proof of its own, but that of {@link identify},
   * before or after: while the pidfd leads to a thread (not ESRCH), no other one has the number.
   */
  #takeByKept(fd: number): Fd | undefined {
    const { threads } = this.#eyes;
    const { tid } = this.#notification;
    const kept = threads.get(tid);
    if (!kept) return undefined;
    const copy = getForeignFd(kept, fd, this.#owner);
    // Closed: the agent had no fd left for the copy, and made room.
    if (copy.isOpen || (kept.isOpen && copy.number !== -E.ESRCH)) return copy;
    threads.drop(tid);
    return undefined;
  }

  /** Does nothing where the kernel has no pidfds of threads. @throws CallerGone */
  #keepThread(): void {
    if (!hasThreadPidfds) return;
    const opened = this.#look(openThreadAlone);
    hasThreadPidfds = opened.number !== -E.EINVAL;
    if (opened.isOpen) this.#eyes.threads.keep(this.#notification.tid, opened);
  }

  /**
   * Copies its memory before the caller is known to wait, see {@link identify}. @returns the number
   * of bytes read
   */
  peek(address: number, into: Block | Buffer, length: number): number {
    return readMemory(this.#notification.tid, address, into, length);
  }

  /**
   * Copies its memory up to the first byte that cannot be read. @returns the number of bytes
   * @throws CallerGone
   */
  read(address: number, into: Block | Buffer, length: number): number {
    const done = readMemory(this.#notification.tid, address, into, length);
    this.#prove();
    return done;
  }

  /** Writes its memory. @returns false for EFAULT @throws CallerGone */
  write(address: number, from: Block | Buffer, length: number): boolean {
    // Of a call that is answered later, the kept one may have made room for others' since.
    if (this.#kept?.isOpen === false) this.#memory ??= this.#look(openMemory);
    const memory = this.#kept?.isOpen ? this.#kept : this.#memory;
    return memory !== undefined && writeMemory(memory, address, from, length);
  }

  /** Opens what can only be named by the thread's number, such as a perf event. @throws CallerGone */
  openByNumber(open: (tid: number) => Fd): Fd {
    return this.#look(open);
  }

  /** Called when the notification has moved in the journal. */
  follow(notification: Notification): void {
    this.#notification = notification;
  }

  /** For messages to people. */
  get shown(): { readonly tid: number } {
    return { tid: this.#notification.tid };
  }

  /** A key for tables that are only a hint: after the caller's end it may stand for another task. */
  get hint(): number {
    return this.#notification.tid;
  }

  close(): void {
    this.#object?.fd.close();
    this.#memory?.close();
    this.#thread?.close();
    this.#directory?.close();
    this.#task?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #look<T extends Disposable>(by: (tid: number) => T): T {
    const found = by(this.#notification.tid);
    this.#prove(found);
    return found;
  }

  /** What was looked up by number before is the caller's. @throws CallerGone, and closes it, if it may not be */
  #prove(opened?: Disposable): void {
    if (isValid(this.#listener, this.#notification)) return;
    opened?.[Symbol.dispose]();
    throw new CallerGone();
  }
}

/**
 * Kills the process of a notification's caller, and no other. @returns false if the caller no longer waits
 * @throws Refusal if there is no descriptor left to name it by
 */
export function killCaller(notification: Notification, listener: number): boolean {
  using directory = new ProcDir(notification.tid);
  using leader = openProcess(directory.threadGroup);
  return leader.isOpen && isValid(listener, notification) && sendSignal(leader, SIGKILL) === 0;
}
