/**
 * The calls under way, in memory that outlives the agent: the kernel hands a notification
 * out only once, so whoever comes after a crash must find it here to answer it.
 */

import { seccomp_notif } from '../sys/kernel.gen.js';
import { ftruncate, mapShared, memfdCreate } from '../sys/libc.js';
import { Notification } from '../sys/seccomp.js';

/** u32 token, padding, struct seccomp_notif. Used if the notification's id is not 0. */
const SLOT = 96;
const TOKEN = 0;
const NOTIFICATION = 8;
/** One for the call being answered, the rest for those that wait for a path look-up. */
const SLOTS = 256;

const SIZE = SLOT * SLOTS;
const MFD_CLOEXEC = 1;

/** Memory for a journal: an fd, the caller's to keep as long as it matters. -errno on failure. */
export function createJournalFile(): number {
  const fd = memfdCreate('bpfns-journal', MFD_CLOEXEC);
  if (fd < 0) return fd;
  const result = ftruncate(fd, SIZE);
  return result < 0 ? result : fd;
}

/** A call that an earlier agent had taken and not answered. */
export interface Unanswered {
  /** Of its listener. */
  readonly token: number;
  readonly notification: Notification;
}

export class Journal {
  readonly #memory: Buffer;
  /** Where the kernel writes the call being answered: there is no moment when it is only in our own memory. */
  readonly current: Notification;

  constructor(fd: number) {
    this.#memory = mapShared(fd, SIZE);
    this.current = new Notification(this.#notificationIn(0));
  }

  /** Before a notification is received: whose it will be. */
  begin(token: number): void {
    this.#memory.writeUInt32LE(token, TOKEN);
  }

  /** The current call has been answered. */
  end(): void {
    this.current.buffer.fill(0, 0, 8);
  }

  /** Keeps the current call while its answer takes longer; call the result when it has been given. */
  defer(): () => void {
    for (let slot = 1; slot < SLOTS; slot++) {
      const kept = this.#notificationIn(slot);
      if (kept.readBigUInt64LE(seccomp_notif.id) !== 0n) continue;
      this.#memory.copy(this.#memory, slot * SLOT, 0, SLOT);
      return () => void kept.fill(0, 0, 8);
    }
    return () => undefined; // full: such a call is lost if the agent dies before it is answered
  }

  /** What an earlier agent left, taken out. */
  takeUnanswered(): Unanswered[] {
    const found: Unanswered[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const kept = this.#notificationIn(slot);
      if (kept.readBigUInt64LE(seccomp_notif.id) === 0n) continue;
      const token = this.#memory.readUInt32LE(slot * SLOT + TOKEN);
      found.push({ token, notification: new Notification(Buffer.from(kept)) });
      kept.fill(0, 0, 8);
    }
    return found;
  }

  #notificationIn(slot: number): Buffer {
    const at = slot * SLOT + NOTIFICATION;
    return this.#memory.subarray(at, at + seccomp_notif.sizeof);
  }
}
