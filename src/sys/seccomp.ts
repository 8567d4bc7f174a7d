/** Seccomp user notification (seccomp_unotify(2)): installs filters, and wraps the ioctls of listeners. */

import { architecture } from './architecture.js';
import { E } from './errno.js';
import { seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp } from './kernel.gen.js';
import { addressOf, ioctl, ioctlValue, readlink, SYS, syscallSeccomp } from './libc.js';

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
  const result = addFd(listener, Buffer.alloc(8), 0xffffffff);
  return result === -E.EBADF ? 1 : result === -E.EINVAL ? 0 : result;
}

/** A struct seccomp_notif in memory. */
export class Notification {
  readonly buffer: Buffer;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  /** The system call number; -1 for a call of another ABI, where the number would mean another call. */
  get number(): number {
    const isNative = this.buffer.readUInt32LE(seccomp_notif.data_arch) === architecture.audit;
    return isNative ? this.buffer.readInt32LE(seccomp_notif.data_nr) : -1;
  }

  get tid(): number {
    return this.buffer.readUInt32LE(seccomp_notif.pid);
  }

  /** The low 32 bits of a system call argument. */
  argument(index: number): number {
    return this.buffer.readUInt32LE(seccomp_notif.data_args + index * 8);
  }

  /** The high 32 bits of a system call argument. */
  argumentHigh(index: number): number {
    return this.buffer.readUInt32LE(seccomp_notif.data_args + index * 8 + 4);
  }

  /** A pointer argument; -1 if it is no address of user space. */
  pointer(index: number): number {
    return readPointer(this.buffer, seccomp_notif.data_args + index * 8);
  }
}

/** A u64 user-space address as a number; -1 if it is no such address, and would not be exact either. */
export function readPointer(buffer: Buffer, offset: number): number {
  const high = buffer.readUInt32LE(offset + 4);
  return high >= 0x200000 ? -1 : high * 0x100000000 + buffer.readUInt32LE(offset);
}

/** Whether a pointer in memory is NULL. */
export function isNull(buffer: Buffer, offset: number): boolean {
  return buffer.readUInt32LE(offset) === 0 && buffer.readUInt32LE(offset + 4) === 0;
}

/** Receives the next notification. ENOENT: its caller was killed, or no process uses the filter any more. */
export function receive(listener: number, into: Notification): number {
  into.buffer.fill(0);
  return ioctl(listener, NOTIF_RECV, into.buffer);
}

/** Whether the caller still waits. If so, the tid, memory and credentials that were read so far were its own. */
export function isValid(listener: number, id: Buffer): boolean {
  return ioctl(listener, NOTIF_ID_VALID, id) === 0;
}

const target = Buffer.alloc(64);

/** Whether one of our own fds is a listener. */
export function isListener(fd: number): boolean {
  const length = readlink(`/proc/self/fd/${fd}`, target, target.length);
  return length >= 0 && target.toString('latin1', 0, length) === 'anon_inode:seccomp notify';
}

/** The id of a notification: its first 8 bytes. */
function copyId(id: Buffer, to: Buffer, offset: number): void {
  to.writeUInt32LE(id.readUInt32LE(seccomp_notif.id), offset);
  to.writeUInt32LE(id.readUInt32LE(seccomp_notif.id + 4), offset + 4);
}

const response = Buffer.alloc(seccomp_notif_resp.sizeof);

function send(listener: number, id: Buffer, value: number, flags: number): number {
  copyId(id, response, seccomp_notif_resp.id);
  response.writeUInt32LE(Math.max(value, 0), seccomp_notif_resp.val); // the upper half stays 0
  response.writeInt32LE(Math.min(value, 0), seccomp_notif_resp.error);
  response.writeUInt32LE(flags, seccomp_notif_resp.flags);
  return ioctl(listener, NOTIF_SEND, response);
}

/** Answers with a value >= 0 or -errno. ENOENT if the caller is gone. */
export function reply(listener: number, id: Buffer, value: number): number {
  return send(listener, id, value, 0);
}

/** Lets the kernel run the call itself, with the guest's memory as it is by then. */
export function replyContinue(listener: number, id: Buffer): number {
  return send(listener, id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

const addfd = Buffer.alloc(seccomp_notif_addfd.sizeof);
const O_CLOEXEC = 0o2000000;

function putFd(listener: number, id: Buffer, fd: number, flags: number): number {
  copyId(id, addfd, seccomp_notif_addfd.id);
  addfd.writeUInt32LE(flags, seccomp_notif_addfd.flags);
  addfd.writeUInt32LE(fd, seccomp_notif_addfd.srcfd);
  addfd.writeUInt32LE(O_CLOEXEC, seccomp_notif_addfd.newfd_flags);
  return ioctl(listener, NOTIF_ADDFD, addfd);
}

/**
 * Puts a copy of `fd` into the caller, close-on-exec. Its number there still has to be passed to
 * {@link reply}: a caller that a signal interrupts before keeps the fd, and does not know of it.
 * An agent that dies in between can be followed by one that replies. EMFILE, ENOENT.
 */
export function addFd(listener: number, id: Buffer, fd: number): number {
  return putFd(listener, id, fd, 0);
}

/**
 * Answers with a copy of `fd`, close-on-exec: the caller gets the fd and its number, or neither.
 * But if the agent is killed or stopped before the caller has woken up, the kernel
 * (kernel/seccomp.c, seccomp_notify_addfd) withdraws the fd, and the caller gets 0. EMFILE: the
 * call is not answered. ENOENT.
 */
export function replyWithFd(listener: number, id: Buffer, fd: number): number {
  return putFd(listener, id, fd, SECCOMP_ADDFD_FLAG_SEND);
}

/** Makes the kernel wake the caller on the agent's CPU (6.6). @returns -EINVAL where it cannot */
export function setSyncWakeUp(listener: number): number {
  // The ioctl takes the flags by value. A Buffer would pass their address.
  return ioctlValue(listener, NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
