/** Seccomp user notification (seccomp_unotify(2)): installs filters, and wraps the ioctls of listeners. */

import { architecture } from './architecture.js';
import { Block } from './block.js';
import { E } from './errno.js';
import { seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp } from './kernel.gen.js';
import { addressOf, ioctl, readlink, SYS, syscallSeccomp } from './libc.js';

const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32;
export const SECCOMP_RET_ALLOW = 0x7fff0000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
export const SECCOMP_RET_ERRNO = 0x00050000;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;
const SECCOMP_ADDFD_FLAG_SEND = 2;

const NOTIF_RECV = 0xc0502100;
const NOTIF_SEND = 0xc0182101;
const NOTIF_ID_VALID = 0x40082102;
const NOTIF_ADDFD = 0x40182103;
const NOTIF_SET_FLAGS = 0x40082104;

/** Classic BPF: return the constant. */
export const BPF_RET_K = 0x06;

/**
 * Installs a filter on the calling thread, which keeps it over execve and passes it on at fork.
 * @returns its listener, which the caller closes, or -errno. EBUSY: a filter with a listener is
 *   there already. EACCES: neither CAP_SYS_ADMIN nor no_new_privs
 */
export function installFilter(code: Buffer): number {
  const program = Buffer.alloc(16);
  program.writeUInt16LE(code.length / 8, 0);
  program.writeBigUInt64LE(addressOf(code), 8);
  // WAIT_KILLABLE (5.19): once the agent has a call, only a fatal signal interrupts it.
  const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const listener = syscallSeccomp(SYS.seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
  if (listener !== -E.EINVAL) return listener;
  return syscallSeccomp(SYS.seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
}

/** Whether seccomp(2) knows WAIT_KILLABLE (5.19): 1, 0 or -errno. Installs no filter. */
export function hasWaitKillable(): number {
  const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  // The kernel checks the flags first, then the filter, which cannot be read here.
  const result = syscallSeccomp(SYS.seccomp, SECCOMP_SET_MODE_FILTER, flags, null);
  return result === -E.EFAULT ? 1 : result === -E.EINVAL ? 0 : result;
}

/** Installs a filter that traps nothing on the calling thread. @returns its listener, as {@link installFilter} */
export function installIdleListener(): number {
  const allow = Buffer.alloc(8);
  allow.writeUInt16LE(BPF_RET_K, 0);
  allow.writeUInt32LE(SECCOMP_RET_ALLOW, 4);
  return installFilter(allow);
}

/** Whether a listener knows ADDFD (5.9): 1, 0 or -errno. */
export function hasAddFd(listener: number): number {
  // This fd does not exist.
  const result = addFd(listener, new Notification(Buffer.alloc(seccomp_notif.sizeof)), 0xffffffff);
  return result === -E.EBADF ? 1 : result === -E.EINVAL ? 0 : result;
}

/** The places of struct seccomp_notif's fields in words. */
const ID = seccomp_notif.id / 4;
const TID = seccomp_notif.pid / 4;
const ARCH = seccomp_notif.data_arch / 4;
const NUMBER = seccomp_notif.data_nr / 4;
const ARGUMENTS = seccomp_notif.data_args / 4;
const WORDS = seccomp_notif.sizeof / 4;

/** A struct seccomp_notif in memory. */
export class Notification {
  readonly buffer: Buffer;
  readonly words: Uint32Array;
  readonly address: number;

  constructor(buffer: Buffer) {
    const { words, address } = new Block(buffer);
    this.buffer = buffer;
    this.words = words;
    this.address = address;
  }

  /** The system call number; -1 for a call of another ABI, where the number would mean another call. */
  get number(): number {
    return this.words[ARCH] === architecture.audit ? this.#word(NUMBER) | 0 : -1;
  }

  get tid(): number {
    return this.#word(TID);
  }

  /** The low 32 bits of a system call argument. */
  argument(index: number): number {
    return this.#word(ARGUMENTS + index * 2);
  }

  /** The high 32 bits of a system call argument. */
  argumentHigh(index: number): number {
    return this.#word(ARGUMENTS + index * 2 + 1);
  }

  /** A pointer argument; -1 if it is no address of user space. */
  pointer(index: number): number {
    return pointerOf(this.argument(index), this.argumentHigh(index));
  }

  /** Whether there is a call here: none has the id 0. */
  get isThere(): boolean {
    return this.#word(ID) !== 0 || this.#word(ID + 1) !== 0;
  }

  clear(): void {
    for (let i = 0; i < WORDS; i++) this.words[i] = 0;
  }

  #word(index: number): number {
    return this.words[index] ?? 0;
  }
}

function pointerOf(low: number, high: number): number {
  return high >= 0x200000 ? -1 : high * 0x100000000 + low;
}

/** A u64 user-space address as a number; -1 if it is no such address, and would not be exact either. */
export function readPointer(buffer: Buffer, offset: number): number {
  return pointerOf(buffer.readUInt32LE(offset), buffer.readUInt32LE(offset + 4));
}

/** Whether a pointer in memory is NULL. */
export function isNull(buffer: Buffer, offset: number): boolean {
  return buffer.readUInt32LE(offset) === 0 && buffer.readUInt32LE(offset + 4) === 0;
}

/** Receives the next notification. ENOENT: its caller was killed, or no process uses the filter any more. */
export function receive(listener: number, into: Notification): number {
  into.clear();
  return ioctl(listener, NOTIF_RECV, into.address);
}

/** Whether the caller still waits. If so, the tid, memory and credentials that were read so far were its own. */
export function isValid(listener: number, notification: Notification): boolean {
  return ioctl(listener, NOTIF_ID_VALID, notification.address) === 0;
}

const target = Buffer.alloc(64);

/** Whether one of our own fds is a listener. */
export function isListener(fd: number): boolean {
  const length = readlink(`/proc/self/fd/${fd}`, target, target.length);
  return length >= 0 && target.toString('latin1', 0, length) === 'anon_inode:seccomp notify';
}

/** Both structures that answer begin with the id of the notification. */
function copyId({ words }: Notification, to: Block): void {
  to.words[0] = words[ID] ?? 0;
  to.words[1] = words[ID + 1] ?? 0;
}

const response = Block.alloc(seccomp_notif_resp.sizeof);

function send(listener: number, to: Notification, value: number, flags: number): number {
  copyId(to, response);
  response.words[seccomp_notif_resp.val / 4] = Math.max(value, 0); // the upper half stays 0
  response.words[seccomp_notif_resp.error / 4] = Math.min(value, 0);
  response.words[seccomp_notif_resp.flags / 4] = flags;
  return ioctl(listener, NOTIF_SEND, response.address);
}

/** Answers with a value >= 0 or -errno. ENOENT if the caller is gone. */
export function reply(listener: number, to: Notification, value: number): number {
  return send(listener, to, value, 0);
}

/** Lets the kernel run the call itself, with the guest's memory as it is by then. */
export function replyContinue(listener: number, to: Notification): number {
  return send(listener, to, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

const addfd = Block.alloc(seccomp_notif_addfd.sizeof);
const O_CLOEXEC = 0o2000000;

function putFd(listener: number, to: Notification, fd: number, flags: number): number {
  copyId(to, addfd);
  addfd.words[seccomp_notif_addfd.flags / 4] = flags;
  addfd.words[seccomp_notif_addfd.srcfd / 4] = fd;
  addfd.words[seccomp_notif_addfd.newfd_flags / 4] = O_CLOEXEC;
  return ioctl(listener, NOTIF_ADDFD, addfd.address);
}

/**
 * Puts a copy of `fd` into the caller, close-on-exec. Its number there still has to be passed to
 * {@link reply}: a caller that a signal interrupts before keeps the fd, and does not know of it.
 * An agent that dies in between can be followed by one that replies. EMFILE, ENOENT.
 */
export function addFd(listener: number, to: Notification, fd: number): number {
  return putFd(listener, to, fd, 0);
}

/**
 * Answers with a copy of `fd`, close-on-exec: the caller gets the fd and its number, or neither.
 * But if the agent is killed or stopped before the caller has woken up, the kernel
 * (kernel/seccomp.c, seccomp_notify_addfd) withdraws the fd, and the caller gets 0. EMFILE: the
 * call is not answered. ENOENT.
 */
export function replyWithFd(listener: number, to: Notification, fd: number): number {
  return putFd(listener, to, fd, SECCOMP_ADDFD_FLAG_SEND);
}

/** Makes the kernel wake the caller on the agent's CPU (6.6). @returns -EINVAL where it cannot */
export function setSyncWakeUp(listener: number): number {
  return ioctl(listener, NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
