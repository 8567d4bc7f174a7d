/**
 * The calls in progress, in memory that outlives the agent. The kernel delivers a notification only
 * once, so the next agent must find it here after a crash. The journal also has what was already
 * done for each call, so that the next agent does not do it twice.
 */

import { MAX_STRUCT } from '../sys/bpf.js';
import { seccomp_notif } from '../sys/kernel.gen.js';
import { ftruncate, mapShared, memfdCreate } from '../sys/libc.js';
import { Notification } from '../sys/seccomp.js';

/**
 * u32 token, u32 attempts, struct seccomp_notif, u32 given fd plus one, u32 child. A slot is in use
 * if the id of its notification is not 0.
 */
const SLOT_SIZE = 96;
const TOKEN = 0;
const ATTEMPTS = 4;
const NOTIFICATION = 8;
const GIVEN = NOTIFICATION + seccomp_notif.sizeof;
const CHILD = GIVEN + 4;
/** One slot for the current call, the rest for calls that wait for a path lookup. */
const SLOTS = 4096;

/** u32 length plus one, or 0 if nothing was copied; then the copy. */
const INPUT = 8;
const ATTR = SLOT_SIZE * SLOTS;
const SECOND = ATTR + INPUT + MAX_STRUCT;
const SIZE = SECOND + INPUT + MAX_STRUCT;
const MFD_CLOEXEC = 1;

/**
 * Creates memory for a journal. @returns an fd, which the caller keeps as long as the journal
 * matters, or -errno
 */
export function createJournalFile(): number {
  const fd = memfdCreate('bpfns-journal', MFD_CLOEXEC);
  if (fd < 0) return fd;
  const result = ftruncate(fd, SIZE);
  return result < 0 ? result : fd;
}

/** A call that was received and is not answered yet. */
export class Slot {
  readonly #slot: Buffer;
  readonly notification: Notification;

  constructor(slot: Buffer) {
    this.#slot = slot;
    this.notification = new Notification(slot.subarray(NOTIFICATION, NOTIFICATION + seccomp_notif.sizeof));
  }

  get isInUse(): boolean {
    return this.notification.buffer.readBigUInt64LE(seccomp_notif.id) !== 0n;
  }

  /** The token of its listener. */
  get token(): number {
    return this.#slot.readUInt32LE(TOKEN);
  }

  /** Called before a notification is received here: sets its listener. */
  begin(token: number): void {
    this.#slot.writeUInt32LE(token, TOKEN);
    this.#slot.writeUInt32LE(0, ATTEMPTS);
    this.#slot.writeUInt32LE(0, GIVEN);
    this.#slot.writeUInt32LE(0, CHILD);
  }

  /** Called when the call has been answered. */
  end(): void {
    this.notification.buffer.fill(0, seccomp_notif.id, seccomp_notif.id + 8);
  }

  /** How many agents have started to answer it, including this one, after the first died. */
  countAttempt(): number {
    const attempts = this.#slot.readUInt32LE(ATTEMPTS) + 1;
    this.#slot.writeUInt32LE(attempts, ATTEMPTS);
    return attempts;
  }

  /** The number of the fd that the caller already got for this call, or -1. */
  get givenFd(): number {
    return this.#slot.readUInt32LE(GIVEN) - 1;
  }

  set givenFd(fd: number) {
    this.#slot.writeUInt32LE(fd + 1, GIVEN);
  }

  /** The id of the namespace that this call creates, noted before it is created; 0 for none. */
  get child(): number {
    return this.#slot.readUInt32LE(CHILD);
  }

  set child(id: number) {
    this.#slot.writeUInt32LE(id, CHILD);
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
  readonly #length: Buffer;
  readonly buffer: Buffer;

  constructor(memory: Buffer) {
    this.#length = memory.subarray(0, INPUT);
    this.buffer = memory.subarray(INPUT);
  }

  /** The length of the buffer's contents: what `read` copies now, or copied for an earlier agent. */
  once(read: (into: Buffer) => number): number {
    const earlier = this.#length.readUInt32LE(0);
    if (earlier > 0) return earlier - 1;
    const length = read(this.buffer);
    this.#length.writeUInt32LE(length + 1, 0);
    return length;
  }

  forget(): void {
    this.#length.writeUInt32LE(0, 0);
  }
}

export class Journal {
  readonly #slots: readonly Slot[];
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

  /** Takes over the fd. */
  constructor(fd: number) {
    const memory = mapShared(fd, SIZE);
    this.fd = fd;
    this.current = new Slot(memory.subarray(0, SLOT_SIZE));
    this.attr = new Input(memory.subarray(ATTR, SECOND));
    this.second = new Input(memory.subarray(SECOND, SIZE));
    const later = Array.from(
      { length: SLOTS - 1 },
      (_, i) => new Slot(memory.subarray((i + 1) * SLOT_SIZE, (i + 2) * SLOT_SIZE)),
    );
    this.#slots = [this.current, ...later];
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
    const later = this.#slots.find((each) => !each.isInUse) ?? new Slot(Buffer.alloc(SLOT_SIZE));
    later.copyFrom(slot);
    return later;
  }

  /**
   * The calls that an earlier agent left. Each stays in the journal until it ends, as this agent
   * may die during it too.
   */
  unanswered(): Slot[] {
    const found = this.#slots.filter((slot) => slot.isInUse);
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
