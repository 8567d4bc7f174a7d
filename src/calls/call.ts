/** One trapped call, from its receipt to its reply: what was asked, who asks, and the answer. */
import type { Namespace } from '../model/namespaces.js';
import type { Journal, Slot } from '../supervisor/journal.js';
import { MAX_STRUCT } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { addFd, type Notification, reply, replyContinue } from '../sys/seccomp.js';
import { CAP_BPF, CAP_SYS_ADMIN, CAP_SYSLOG, type Capabilities } from '../sys/task.js';
import { Caller, type Needs } from './caller.js';
import type { OwnRights } from './own-rights.js';
import type { Services } from './services.js';
import { namespaceOf, type Source } from './source.js';

/**
 * A command's outcome: a value >= 0, -errno, a descriptor to hand over (or the error that
 * opening it gave), or 'continue': the kernel runs the call.
 */
export type Reply = number | Fd | 'continue';

/** What the caller passed in its memory. */
export interface Input {
  /** Zero behind what could be read. Reused by the next call: copy what must stay. */
  readonly buffer: Buffer;
  /** How much could be read. */
  readonly length: number;
}

export class Call {
  readonly source: Source;
  readonly caller: Caller;
  /** `performance.now()` at its receipt. */
  readonly started = performance.now();
  /** Of the command, as the caller passed it. */
  attr: Buffer;
  /** Bytes of {@link attr} that the caller passed and the kernel knows. */
  size = 0;
  /** In the caller's memory. */
  attrAddress = -1;
  #namespace: Namespace;
  #slot: Slot;
  readonly #journal: Journal;
  readonly #own: OwnRights;

  constructor(source: Source, slot: Slot, { journal, own, mirror }: Services) {
    this.source = source;
    this.#namespace = source.namespace;
    this.#slot = slot;
    this.#journal = journal;
    this.#own = own;
    this.attr = journal.attr.buffer;
    this.caller = new Caller(slot.notification, source.listener, mirror.tasks);
    journal.serve(slot);
  }

  get notification(): Notification {
    return this.#slot.notification;
  }

  /** The namespace that the caller is in: known once it is identified. */
  get namespace(): Namespace {
    return this.#namespace;
  }

  /**
   * Finds out who calls, and from which namespace. What was read of the caller's memory
   * before counts from here on. @throws CallerGone
   */
  identify(needs: Needs, services: Services): void {
    // Only where the filter's namespace has children does the task itself have to be asked.
    const isNested = this.source.namespace.children.size > 0;
    this.caller.identify(needs, isNested);
    if (isNested) this.#namespace = namespaceOf(this.caller, this.source, services);
  }

  /**
   * Copies attr, zero-extended. An agent that answers the call once more gets what the first
   * one read: many answers are written over what was asked. Returns how much could be copied.
   */
  readAttr(address: number, size: number): number {
    this.attrAddress = address;
    return this.#journal.attr.once((into) => this.caller.peek(address, into.fill(0), size));
  }

  /** As {@link readAttr}, for a second structure that attr points to, of at most MAX_STRUCT bytes. @throws CallerGone */
  readSecond(address: number, size: number): Input {
    const { second } = this.#journal;
    const length = second.once((into) => this.caller.read(address, into.fill(0), Math.min(size, MAX_STRUCT)));
    return { buffer: second.buffer, length };
  }

  /** Copies guest memory; false for EFAULT. @throws CallerGone */
  read(address: number, into: Buffer, length: number): boolean {
    return this.caller.read(address, into, length) === length;
  }

  /** Writes guest memory; false for EFAULT. */
  write(address: number, from: Buffer, length: number): boolean {
    return this.caller.write(address, from, length);
  }

  /** Writes one u32 of the caller's attr. */
  writeAttr(offset: number, value: number): boolean {
    word.writeUInt32LE(value >>> 0);
    return this.write(this.attrAddress + offset, word, 4);
  }

  /** Whether any byte of attr from `end` on is set: the kernel's CHECK_ATTR. */
  hasUnknownBits(end: number): boolean {
    for (let i = end; i < this.size; i++) if (this.attr[i] !== 0) return true;
    return false;
  }

  /** The id of the namespace that this call makes, noted before it is made; 0 if it makes none. */
  get child(): number {
    return this.#slot.child;
  }

  set child(id: number) {
    this.#slot.child = id;
  }

  /** The namespace's rule: CAP_BPF or CAP_SYS_ADMIN in the user namespace that owns it. */
  get mayUseIds(): boolean {
    const { capabilities, userNs } = this.caller;
    // The init user namespace is an ancestor of every other: its capabilities count in all.
    const isInOwner = userNs === this.namespace.spec.userNs || userNs === this.#own.userNs;
    return isInOwner && (capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
  }

  /** The same capability, in the caller's own user namespace, makes a child namespace. */
  get mayMakeNamespace(): boolean {
    return (this.caller.capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
  }

  /** Whether the caller's user namespace is the one that owns its BPF namespace, or below that. @throws CallerGone */
  get isWithinOwner(): boolean {
    const owner = this.namespace.spec.userNs;
    return this.caller.userNs === owner || this.caller.directory.isUserNsWithin(owner);
  }

  /** What the kernel's capable() would grant: capabilities in the init user namespace. */
  get initCapabilities(): Capabilities {
    return this.caller.userNs === this.#own.userNs ? this.caller.capabilities : 0n;
  }

  /** Whether this caller may see kernel addresses where kptr_restrict is 1. */
  get maySeeAddresses(): boolean {
    return (this.initCapabilities & CAP_SYSLOG) !== 0n;
  }

  /** Runs `action` with no more than the caller's own capabilities. */
  asCaller<T>(action: () => T): T {
    return this.#own.lower(this.initCapabilities, action);
  }

  /** Runs `action` with the agent's rights, and CAP_SYSLOG only if the caller has it. */
  asAgent<T>(action: () => T): T {
    return this.maySeeAddresses ? this.#own.withSyslog(action) : action();
  }

  /** Of a call that an earlier agent handed a descriptor to, but did not answer: its number there; else -1. */
  get givenFd(): number {
    return this.#slot.givenFd;
  }

  /** Its place in the journal is needed for the next call: this one is answered later. */
  setAside(): void {
    const earlier = this.#slot;
    this.#slot = this.#journal.setAside(earlier);
    if (this.#slot === earlier) return;
    this.caller.follow(this.#slot.notification);
    earlier.end();
  }

  /**
   * Answers the caller, and takes the call out of the journal. Not while another process is
   * about to answer all that stands there. @param outcome undefined if there is nobody to answer
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
    const { buffer } = this.notification;
    if (outcome === 'continue') {
      replyContinue(listener, buffer);
    } else if (typeof outcome === 'number') {
      reply(listener, buffer, outcome);
    } else {
      // The caller's own limits may refuse it (EMFILE): it is told so.
      const number = outcome.isOpen ? addFd(listener, buffer, outcome.number) : outcome.number;
      if (number >= 0) this.#slot.givenFd = number;
      reply(listener, buffer, number);
    }
  }
}

const word = Buffer.alloc(4);

/** -E2BIG, as the kernel's bpf_check_uarg_tail_zero(): a structure that ends in bytes it does not know. */
export function hasSetByte(buffer: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (buffer[at] !== 0) return true;
  return false;
}

/** What a caller gets where the agent itself fails: never the kernel's turn. */
export const FAULT = -E.EPERM;
