/**
 * The calls in progress, in memory that outlives the agent. The kernel delivers a notification only
 * once, so the next agent must find it here after a crash. The journal also has what was already
 * done for each call, so that the next agent does not do it twice.
 */

import { Block } from '../sys/block.js';
import { MAX_STRUCT } from '../sys/bpf.js';
import { seccomp_notif } from '../sys/kernel.gen.js';
import { mapShared } from '../sys/libc.js';
import { Notification } from '../sys/seccomp.js';
import * as file from './journal-file.js';

/**
 * u32 token, u32 attempts, struct seccomp_notif, u32 given fd plus one, u32 child. A slot is in use
 * if the id of its notification is not 0.
 */
const SLOT_SIZE = 96;
const NOTIFICATION = file.ID - seccomp_notif.id;
/** In words. */
const TOKEN = file.TOKEN / 4;
const ATTEMPTS = file.ATTEMPTS / 4;
const ID = file.ID / 4;
const GIVEN = (NOTIFICATION + seccomp_notif.sizeof) / 4;
const CHILD = GIVEN + 1;
/** One slot for the current call, the rest for calls that wait for a path lookup. */
const SLOTS = 4096;

/** u32 length plus one, or 0 if nothing was copied; then the copy. */
const INPUT = 8;
const ATTR = SLOT_SIZE * SLOTS;
const SECOND = ATTR + INPUT + MAX_STRUCT;
const END = SECOND + INPUT + MAX_STRUCT;

/** A call that was received and is not answered yet. */
export class Slot {
  readonly #slot: Buffer;
  readonly #words: Uint32Array;
  readonly notification: Notification;

  constructor(slot: Buffer) {
    this.#slot = slot;
    this.#words = new Block(slot).words;
    this.notification = new Notification(slot.subarray(NOTIFICATION, NOTIFICATION + seccomp_notif.sizeof));
  }

  get isInUse(): boolean {
    return this.notification.isThere;
  }

  /** The token of its listener. */
  get token(): number {
    return this.#words[TOKEN] ?? 0;
  }

  /** Called before a notification is received here: sets its listener. */
  begin(token: number): void {
    const words = this.#words;
    words[TOKEN] = token;
    words[ATTEMPTS] = 0;
    words[GIVEN] = 0;
    words[CHILD] = 0;
  }

  /** Called when the call has been answered. */
  end(): void {
    this.#words[ID] = 0;
    this.#words[ID + 1] = 0;
  }

  /** Whether another version left it: what was done for it is not known. */
  get isOfOtherVersion(): boolean {
    return this.#words[ATTEMPTS] === file.UNKNOWN;
  }

  /** Whether it was received a moment ago, and no other call since. */
  get isNew(): boolean {
    return this.#words[ATTEMPTS] === 0;
  }

  /** How many agents have started to answer it, including this one, after the first died. */
  countAttempt(): number {
    const attempts = (this.#words[ATTEMPTS] ?? 0) + 1;
    this.#words[ATTEMPTS] = attempts;
    return attempts;
  }

  /** The number of the fd that the caller already got for this call, or -1. */
  get givenFd(): number {
    return (this.#words[GIVEN] ?? 0) - 1;
  }

  set givenFd(fd: number) {
    this.#words[GIVEN] = fd + 1;
  }

  /** The id of the namespace that this call creates, noted before it is created; 0 for none. */
  get child(): number {
    return this.#words[CHILD] ?? 0;
  }

  set child(id: number) {
    this.#words[CHILD] = id;
  }

  /**
   * Copies the slot. The notification's id, which makes it valid, is copied last, so that half a
   * copy is not valid.
   */
  copyFrom(other: Slot): void {
    const id = NOTIFICATION + seccomp_notif.id;
    other.#slot.copy(this.#slot, 0, 0, id);
    other.#slot.copy(this.#slot, id + 8, id + 8, SLOT_SIZE);
    other.#slot.copy(this.#slot, id, id, id + 8);
  }

  isSameCallAs(other: Slot): boolean {
    return this.token === other.token && this.notification.buffer.compare(other.notification.buffer, 0, 8, 0, 8) === 0;
  }
}

/**
 * The input of the current call. Many answers overwrite it in the caller's memory (lengths, counts,
 * ids), so an agent that answers the call again must not read it from there.
 */
export class Input {
  readonly #length: Uint32Array;
  readonly block: Block;
  /** From here on all bytes are zero. */
  #used = MAX_STRUCT;

  constructor(memory: Buffer) {
    this.#length = new Block(memory.subarray(0, INPUT)).words;
    this.block = new Block(memory.subarray(INPUT));
  }

  get buffer(): Buffer {
    return this.block.buffer;
  }

  /**
   * The length of the block's contents: what `read` copies now, `size` bytes at most, or copied for
   * an earlier agent. All bytes behind are zero.
   */
  once(size: number, read: (into: Block) => number): number {
    const earlier = this.#length[0] ?? 0;
    if (earlier > 0) return earlier - 1;
    this.#used = Math.max(this.#used, size);
    const length = read(this.block);
    if (length < this.#used) this.block.buffer.fill(0, length, this.#used);
    this.#used = length;
    this.#length[0] = length + 1;
    return length;
  }

  /** Once it was copied. */
  get length(): number {
    return (this.#length[0] ?? 0) - 1;
  }

  forget(): void {
    this.#length[0] = 0;
  }
}

export class Journal {
  readonly #memory: Buffer;
  readonly #words: Uint32Array;
  /** The memory, for another process to copy. Open as long as the journal. */
  readonly fd: number;
  /** The slot into which the kernel writes the current call. The call is never in the agent's own memory alone. */
  readonly current: Slot;
  /** The current call's attr. */
  readonly attr: Input;
  /** A second structure that the current call's attr points to. */
  readonly second: Input;
  /** True while another process is about to answer these calls: none may be answered or removed. */
  isPaused = false;

  /** Takes over the fd, of whatever version the file is. */
  constructor(fd: number) {
    file.layOut(fd, { slotSize: SLOT_SIZE, slots: SLOTS, size: file.HEADER + END });
    const memory = mapShared(fd, file.HEADER + END).subarray(file.HEADER);
    this.fd = fd;
    this.current = new Slot(memory.subarray(0, SLOT_SIZE));
    this.attr = new Input(memory.subarray(ATTR, SECOND));
    this.second = new Input(memory.subarray(SECOND, END));
    this.#memory = memory;
    this.#words = new Block(memory).words;
  }

  /** @returns how many slots there are if none is found */
  #find(isInUse: boolean, from: number): number {
    for (let index = from; index < SLOTS; index++) {
      const id = (index * SLOT_SIZE) / 4 + ID;
      if ((this.#words[id] !== 0 || this.#words[id + 1] !== 0) === isInUse) return index;
    }
    return SLOTS;
  }

  #at(index: number): Slot {
    return index === 0 ? this.current : new Slot(this.#memory.subarray(index * SLOT_SIZE, (index + 1) * SLOT_SIZE));
  }

  /** Called before a notification is received into the current slot: sets its listener. */
  begin(token: number): void {
    this.#forgetInput();
    this.current.begin(token);
  }

  /** Called when the answer to a call begins. */
  serve(slot: Slot): void {
    // The journal has only the input of the current call. That of other calls is still in their
    // callers' memory.
    if (slot !== this.current) this.#forgetInput();
  }

  #forgetInput(): void {
    this.attr.forget();
    this.second.forget();
  }

  /** Copies a call whose answer takes longer, as the next call needs the current slot. */
  setAside(slot: Slot): Slot {
    if (slot !== this.current) return slot;
    // Full: the call is lost if the agent dies before it is answered.
    const free = this.#find(false, 1);
    const later = free < SLOTS ? this.#at(free) : new Slot(Buffer.alloc(SLOT_SIZE));
    later.copyFrom(slot);
    return later;
  }

  /**
   * The calls that an earlier agent left. Each stays in the journal until it ends, as this agent
   * may die during it too.
   */
  unanswered(): Slot[] {
    const found: Slot[] = [];
    for (let index = this.#find(true, 0); index < SLOTS; index = this.#find(true, index + 1)) {
      found.push(this.#at(index));
    }
    const [first, ...later] = found;
    if (first !== this.current) return found;
    // The agent died while it moved the current call. The copy stays, as its answer may be in
    // progress.
    const copy = later.find((slot) => slot.isSameCallAs(first));
    if (!copy) return found;
    first.end();
    return later;
  }
}
