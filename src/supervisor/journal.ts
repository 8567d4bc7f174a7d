/**
 * The calls under way, in memory that outlives the agent: the kernel hands a notification
 * out only once, so whoever comes after a crash must find it here to answer it. Beside a
 * call stands what was done for it already, so that the next agent does not do it twice.
 */

import { MAX_STRUCT } from '../sys/bpf.js';
import { seccomp_notif } from '../sys/kernel.gen.js';
import { ftruncate, mapShared, memfdCreate } from '../sys/libc.js';
import { Notification } from '../sys/seccomp.js';

/** u32 token, u32 attempts, struct seccomp_notif, u32 fd given plus one, u32 child. In use if the notification's id is not 0. */
const SLOT_SIZE = 96;
const TOKEN = 0;
const ATTEMPTS = 4;
const NOTIFICATION = 8;
const GIVEN = NOTIFICATION + seccomp_notif.sizeof;
const CHILD = GIVEN + 4;
/** One for the call being answered, the rest for those that wait for a path look-up. */
const SLOTS = 4096;

/** u32 length plus one, or 0 if nothing was copied; then what was. */
const INPUT = 8;
const ATTR = SLOT_SIZE * SLOTS;
const SECOND = ATTR + INPUT + MAX_STRUCT;
const SIZE = SECOND + INPUT + MAX_STRUCT;
const MFD_CLOEXEC = 1;

/** Memory for a journal: an fd, the caller's to keep as long as it matters. -errno on failure. */
export function createJournalFile(): number {
  const fd = memfdCreate('bpfns-journal', MFD_CLOEXEC);
  if (fd < 0) return fd;
  const result = ftruncate(fd, SIZE);
  return result < 0 ? result : fd;
}

/** A call that was taken and is not answered yet. */
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

  /** Of its listener. */
  get token(): number {
    return this.#slot.readUInt32LE(TOKEN);
  }

  /** Before a notification is received here: whose it will be. */
  begin(token: number): void {
    this.#slot.writeUInt32LE(token, TOKEN);
    this.#slot.writeUInt32LE(0, ATTEMPTS);
    this.#slot.writeUInt32LE(0, GIVEN);
    this.#slot.writeUInt32LE(0, CHILD);
  }

  /** It has been answered. */
  end(): void {
    this.notification.buffer.fill(0, seccomp_notif.id, seccomp_notif.id + 8);
  }

  /** How many agents have begun to answer it, this one included, after the first died over it. */
  countAttempt(): number {
    const attempts = this.#slot.readUInt32LE(ATTEMPTS) + 1;
    this.#slot.writeUInt32LE(attempts, ATTEMPTS);
    return attempts;
  }

  /** The number of an fd that the caller has got for this call already, or -1. */
  get givenFd(): number {
    return this.#slot.readUInt32LE(GIVEN) - 1;
  }

  set givenFd(fd: number) {
    this.#slot.writeUInt32LE(fd + 1, GIVEN);
  }

  /** The id of the namespace that this call makes, noted before it is made; 0 if it makes none. */
  get child(): number {
    return this.#slot.readUInt32LE(CHILD);
  }

  set child(id: number) {
    this.#slot.writeUInt32LE(id, CHILD);
  }

  /** All of it but what makes it count; that last, so that half a copy is none. */
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
 * What the current call came with. Many answers are written over what was asked (lengths,
 * counts, ids): an agent that answers it once more must not read that.
 */
export class Input {
  readonly #length: Buffer;
  readonly buffer: Buffer;

  constructor(memory: Buffer) {
    this.#length = memory.subarray(0, INPUT);
    this.buffer = memory.subarray(INPUT);
  }

  /** The length of what is in the buffer: what `read` copied there now, or for an earlier agent. */
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
  /** The memory, for another process to take; open as long as the journal. */
  readonly fd: number;
  /** Where the kernel writes the call being answered: there is no moment when it is only in our own memory. */
  readonly current: Slot;
  /** The current call's attr. */
  readonly attr: Input;
  /** A second structure that the current call's attr points to. */
  readonly second: Input;
  /** Another process is about to answer what stands here: no call may be answered or taken out any more. */
  isPaused = false;

  /** The fd goes over to the journal. */
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

  /** Before a notification is received into the current slot: whose it will be. */
  begin(token: number): void {
    this.#forgetInput();
    this.current.begin(token);
  }

  /** It is about to be answered. */
  serve(slot: Slot): void {
    // Only the current one's are here; what others came with is still with their callers.
    if (slot !== this.current) this.#forgetInput();
  }

  #forgetInput(): void {
    this.attr.forget();
    this.second.forget();
  }

  /** A copy of a call whose answer takes longer: the place of the current one is needed for the next. */
  setAside(slot: Slot): Slot {
    if (slot !== this.current) return slot;
    // Full: such a call is lost if the agent dies before it is answered.
    const later = this.#slots.find((each) => !each.isInUse) ?? new Slot(Buffer.alloc(SLOT_SIZE));
    later.copyFrom(slot);
    return later;
  }

  /** What an earlier agent left. Each stays noted until it is ended: this agent may die over it too. */
  unanswered(): Slot[] {
    const found = this.#slots.filter((slot) => slot.isInUse);
    const [first, ...later] = found;
    if (first !== this.current) return found;
    // The agent died while it moved the current call: the copy stays, as its answer may be under way.
    const copy = later.find((slot) => slot.isSameCallAs(first));
    if (!copy) return found;
    first.end();
    return later;
  }
}
