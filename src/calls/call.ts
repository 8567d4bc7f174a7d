/** One trapped call, from its receipt to its reply: what was asked, who asks, and the answer. */
import { performance } from 'node:perf_hooks';
import { type HostId, INVISIBLE, type Kind, type NsId } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import type { Mirror } from '../recorder/mirror.js';
import type { Journal, Slot } from '../supervisor/journal.js';
import { Block } from '../sys/block.js';
import { MAX_STRUCT } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { addFd, type Notification, reply, replyContinue, replyWithFd } from '../sys/seccomp.js';
import { type Capabilities, noRights, type Rights } from '../sys/task.js';
import { Caller } from './caller.js';
import type { Needs } from './needs.js';
import type { OwnRights } from './own-rights.js';
import type { Services } from './services.js';
import { isInterruptible, namespaceOf, ownerOf, type Source } from './source.js';

/**
 * The outcome of a command: a value >= 0; -errno; a descriptor to give to the caller, or the error
 * of opening it; or 'continue', which lets the kernel run the call.
 */
export type Reply = number | Fd | 'continue';

/** What the caller passed in memory. */
export interface Input {
  /** Zero behind the bytes that were read. The next call reuses it: copy what must stay. */
  readonly buffer: Buffer;
  /** How many bytes were read. */
  readonly length: number;
}

export class Call {
  readonly source: Source;
  readonly caller: Caller;
  /** `performance.now()` when the call was received. */
  readonly started = performance.now();
  /** The attr of the command, as the caller passed it. */
  attr: Buffer;
  /** Bytes of {@link attr} that the caller passed and the kernel knows. */
  size = 0;
  /** The address of {@link attr} in the caller's memory. */
  attrAddress = -1;
  #namespace: Namespace;
  #slot: Slot;
  readonly #journal: Journal;
  readonly #own: OwnRights;
  readonly #mirror: Mirror;

  constructor(source: Source, slot: Slot, { journal, own, mirror, eyes }: Services) {
    this.source = source;
    this.#namespace = source.namespace;
    this.#slot = slot;
    this.#journal = journal;
    this.#own = own;
    this.#mirror = mirror;
    this.attr = journal.attr.buffer;
    this.caller = new Caller(slot.notification, source.listener, mirror.tasks, eyes, ownerOf(source.namespace));
    journal.serve(slot);
  }

  get notification(): Notification {
    return this.#slot.notification;
  }

  /** The caller's namespace. It is known once the caller is identified. */
  get namespace(): Namespace {
    return this.#namespace;
  }

  /**
   * Finds out who calls, and from which namespace. What was read from the caller's memory before is
   * valid from here on.
   * @throws CallerGone
   * @throws Refusal EPERM if the caller's mark was lost
   */
  identify(needs: Needs, services: Services): void {
    // The task's own namespace is needed only if the filter's namespace has children, or had some
    // whose tasks lost their marks.
    const isNested = this.source.namespace.children.size > 0 || services.mirror.hasLostTasks;
    const object = needs.object === undefined ? -1 : this.attr.readInt32LE(needs.object);
    this.caller.identify(needs, isNested, object, this.#slot.isNew);
    if (isNested) this.#namespace = namespaceOf(this.caller, this.source, services);
  }

  /**
   * Copies attr, extended with zeros. An agent that answers the call again gets what the first
   * agent read, since many answers overwrite it.
   * @returns the number of bytes that were read
   */
  readAttr(address: number, size: number): number {
    this.attrAddress = address;
    return this.#journal.attr.once(size, (into) => this.caller.peek(address, into, size));
  }

  /** Like {@link readAttr}, for a second structure that attr points to, of at most MAX_STRUCT bytes. */
  readSecond(address: number, size: number): void {
    const most = Math.min(size, MAX_STRUCT);
    this.#journal.second.once(most, (into) => this.caller.peek(address, into, most));
  }

  /** What {@link readSecond} read. */
  get second(): Input {
    return this.#journal.second;
  }

  /** Copies guest memory. @returns false for EFAULT @throws CallerGone */
  read(address: number, into: Buffer, length: number): boolean {
    return this.caller.read(address, into, length) === length;
  }

  /** Writes guest memory. @returns false for EFAULT */
  write(address: number, from: Block | Buffer, length: number): boolean {
    return this.caller.write(address, from, length);
  }

  /** Writes one u32 of the caller's attr. */
  writeAttr(offset: number, value: number): boolean {
    word.words[0] = value;
    return this.write(this.attrAddress + offset, word, 4);
  }

  /** Whether any byte of attr from `end` on is set: the kernel's CHECK_ATTR. */
  hasUnknownBits(end: number): boolean {
    for (let i = end; i < this.size; i++) if (this.attr[i] !== 0) return true;
    return false;
  }

  /** The id of the namespace that this call creates, noted before it is created; 0 for none. */
  get child(): number {
    return this.#slot.child;
  }

  set child(id: number) {
    this.#slot.child = id;
  }

  /** The namespace's rule: CAP_BPF or CAP_SYS_ADMIN in the user namespace that owns it. */
  get mayUseIds(): boolean {
    const { rights, userNs } = this.caller;
    // The init user namespace is an ancestor of all others: its capabilities count everywhere.
    const isInOwner = userNs === this.namespace.spec.userNs || userNs === this.#own.userNs;
    return isInOwner && rights.mayBpf;
  }

  /**
   * The id of an object in the caller's namespace; INVISIBLE if it has none there. Before it says so it looks for what
   * the caller's last call created, if the recorder did not see that return.
   */
  idIn(kind: Kind, host: HostId): NsId {
    const id = this.#mirror.idIn(this.namespace, kind, host);
    if (id !== INVISIBLE || !this.caller.recordMissed(this.#mirror.recorder)) return id;
    this.#mirror.update();
    return this.#mirror.idIn(this.namespace, kind, host);
  }

  /** Creating a child namespace needs the same capability in the caller's own user namespace. */
  get mayMakeNamespace(): boolean {
    return this.caller.rights.mayBpf;
  }

  /** Whether the caller's user namespace is the one that owns its BPF namespace, or below that. @throws CallerGone */
  get isWithinOwner(): boolean {
    const owner = this.namespace.spec.userNs;
    return this.caller.userNs === owner || this.caller.directory.isUserNsWithin(owner);
  }

  get isInInitUserNs(): boolean {
    return this.caller.userNs === this.#own.userNs;
  }

  /** The rights that the kernel's capable() checks: those in the init user namespace. */
  get #initRights(): Rights {
    return this.isInInitUserNs ? this.caller.rights : noRights;
  }

  /** The same as capabilities. */
  get initCapabilities(): Capabilities {
    return this.#initRights.capabilities;
  }

  /** Whether this caller may see kernel addresses where kptr_restrict is 1. */
  get maySeeAddresses(): boolean {
    return this.#initRights.maySyslog;
  }

  /** Runs `action` with no more than the caller's own capabilities. */
  asCaller<T>(action: () => T): T {
    return this.#own.lower(this.#initRights, action);
  }

  /** Runs `action` with the agent's rights, and CAP_SYSLOG only if the caller has it. */
  asAgent<T>(action: () => T): T {
    return this.maySeeAddresses ? this.#own.withSyslog(action) : action();
  }

  /** The number of a descriptor that an earlier agent gave to the caller before it died; else -1. */
  get givenFd(): number {
    return this.#slot.givenFd;
  }

  /** Moves the call within the journal, as it is answered later and the next call needs its place. */
  setAside(): void {
    const earlier = this.#slot;
    this.#slot = this.#journal.setAside(earlier);
    if (this.#slot === earlier) return;
    this.caller.follow(this.#slot.notification);
    earlier.end();
  }

  /**
   * Answers the caller, and removes the call from the journal. Does neither while another process
   * is about to answer all calls in the journal.
   * @param outcome undefined if there is nobody to answer
   */
  reply(outcome: Reply | undefined): void {
    if (!this.#journal.isPaused) {
      if (outcome !== undefined) this.#send(outcome);
      this.#slot.end();
    }
    if (outcome instanceof Fd) outcome.close();
    this.caller.close();
  }

  #send(outcome: Reply): void {
    const { listener } = this.source;
    if (outcome === 'continue') {
      replyContinue(listener, this.notification);
    } else if (typeof outcome === 'number') {
      reply(listener, this.notification, outcome);
    } else {
      this.#sendFd(outcome);
    }
  }

  /** The caller's own limits may refuse the fd (EMFILE). The caller gets that error. */
  #sendFd(fd: Fd): void {
    const { listener } = this.source;
    const { notification } = this;
    if (fd.isOpen && isInterruptible(this.source)) {
      const result = replyWithFd(listener, notification, fd.number);
      if (result < 0) reply(listener, notification, result);
      return;
    }
    const number = fd.isOpen ? addFd(listener, notification, fd.number) : fd.number;
    if (number >= 0) this.#slot.givenFd = number;
    reply(listener, notification, number);
  }
}

const word = Block.alloc(4);

/** Whether a byte is set in the range: the check of the kernel's bpf_check_uarg_tail_zero(), which gives E2BIG. */
export function hasSetByte(buffer: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (buffer[at] !== 0) return true;
  return false;
}

/** The answer where the agent itself fails. The call is never left to the kernel. */
export const FAULT = -E.EPERM;
