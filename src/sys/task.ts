/** Facts about another thread: fds, capabilities, namespaces. Results are >= 0 or -errno. */
import { E } from './errno.js';
import { Fd } from './fd.js';
import { close, prctl, readlink, SYS, syscall0, syscall2, syscall3, syscall5, syscallBuffers } from './libc.js';

/** A set of capabilities, as a bit mask. */
export type Capabilities = bigint;

export const CAP_KILL = 1n << 5n;
export const CAP_NET_ADMIN = 1n << 12n;
export const CAP_SYS_ADMIN = 1n << 21n;
export const CAP_SYSLOG = 1n << 34n;
export const CAP_PERFMON = 1n << 38n;
export const CAP_BPF = 1n << 39n;

/** What a set of capabilities allows. For many calls one is made: BigInts are slow. */
export class Rights {
  readonly capabilities: Capabilities;
  /** CAP_BPF or CAP_SYS_ADMIN. */
  readonly mayBpf: boolean;
  readonly maySyslog: boolean;

  constructor(capabilities: Capabilities) {
    this.capabilities = capabilities;
    this.mayBpf = (capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
    this.maySyslog = (capabilities & CAP_SYSLOG) !== 0n;
  }
}

export const noRights = new Rights(0n);

const PIDFD_THREAD = 0o200;
const KCMP_FILE = 0;
const KCMP_FILES = 2;

/**
 * A pidfd of a thread: PIDFD_THREAD (6.9), or before that of the thread's leader, if they share
 * their fds (-EBADF if not). -ESRCH if it is gone. It refers to the thread that has the number now.
 */
export function openThread(tid: number, tgid: () => number): Fd {
  const thread = openThreadAlone(tid);
  if (thread.number !== -E.EINVAL) return thread;
  const leader = tgid();
  if (leader <= 0) return new Fd(-E.ESRCH);
  if (leader !== tid && syscall5(SYS.kcmp, leader, tid, KCMP_FILES, 0, 0) !== 0) return new Fd(-E.EBADF);
  return new Fd(syscall2(SYS.pidfd_open, leader, 0));
}

/** A pidfd that stays that of the thread; -EINVAL before 6.9. It refers to the thread that has the number now. */
export function openThreadAlone(tid: number): Fd {
  return new Fd(syscall2(SYS.pidfd_open, tid, PIDFD_THREAD));
}

/** Whether the kernel has pidfds of threads (6.9): 1, 0 or -errno. */
export function hasThreadPidfd(): number {
  const fd = syscall2(SYS.pidfd_open, syscall0(SYS.gettid), PIDFD_THREAD);
  if (fd >= 0) close(fd);
  return fd >= 0 ? 1 : fd === -E.EINVAL ? 0 : fd;
}

/** Whether the kernel can tell if threads share their fds (kcmp(2)): 1, 0 or -errno. */
export function hasKcmp(): number {
  const result = syscall5(SYS.kcmp, process.pid, process.pid, KCMP_FILES, 0, 0);
  return result === 0 ? 1 : result === -E.ENOSYS ? 0 : result;
}

/** Whether two of our own fds are of one open file: 1, 0, or -errno if the kernel cannot tell. */
export function isSameFile(a: number, b: number): number {
  const order = syscall5(SYS.kcmp, process.pid, process.pid, KCMP_FILE, a, b);
  return order < 0 ? order : order === 0 ? 1 : 0;
}

/** A pidfd of the process that has the number now. */
export function openProcess(pid: number): Fd {
  return new Fd(syscall2(SYS.pidfd_open, pid, 0));
}

/**
 * A copy of the fd number `fd` of the process or thread behind a pidfd: the same open file. -EBADF,
 * -ESRCH, -EPERM. For processes that are trusted: see foreign-fd.ts.
 */
export function getFd(pidfd: Pick<Fd, 'number'>, fd: number): Fd {
  return new Fd(copyFd(pidfd, fd));
}

/** The same, as a number: the caller closes it. */
export function copyFd(pidfd: Pick<Fd, 'number'>, fd: number): number {
  return pidfd.number < 0 ? pidfd.number : syscall3(SYS.pidfd_getfd, pidfd.number, fd, 0);
}

/** Sends a signal to the process or thread behind a pidfd; 0 only checks. -ESRCH if it has been waited for. */
export function sendSignal(pidfd: Pick<Fd, 'number'>, signal: number): number {
  return syscall5(SYS.pidfd_send_signal, pidfd.number, signal, 0, 0, 0);
}

const header = Buffer.alloc(8);
const data = Buffer.alloc(24);
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

function capget(tid: number): number {
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3, 0);
  header.writeInt32LE(tid, 4);
  return syscallBuffers(SYS.capget, header, data);
}

function mask(low: number): Capabilities {
  return (BigInt(data.readUInt32LE(low + 12)) << 32n) | BigInt(data.readUInt32LE(low));
}

/** The effective capabilities of a thread, in its own user namespace; none if it is gone. */
export function effectiveCapabilities(tid: number): Capabilities {
  return capget(tid) < 0 ? 0n : mask(0);
}

/** The permitted capabilities of the calling thread. */
export function permittedCapabilities(): Capabilities {
  return capget(0) < 0 ? 0n : mask(4);
}

/** The sets of the calling thread, for capset(2). Only the effective set changes. */
let own: Buffer | undefined;

/** Sets the effective capabilities of the calling thread (a subset of the permitted ones). */
export function setEffectiveCapabilities(effective: Capabilities): number {
  if (!own) {
    const result = capget(0);
    if (result < 0) return result;
    own = Buffer.from(data);
  }
  own.writeUInt32LE(Number(effective & 0xffffffffn), 0);
  own.writeUInt32LE(Number(effective >> 32n), 12);
  header.writeInt32LE(0, 4);
  return syscallBuffers(SYS.capset, header, own);
}

const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;

/**
 * Takes capabilities from the calling thread for ever, and from whatever it executes. The
 * ambient set follows the inheritable one. 0 or -errno.
 */
export function giveUpCapabilities(capabilities: Capabilities): number {
  for (let number = 0; number < 64; number++) {
    if (((capabilities >> BigInt(number)) & 1n) === 0n || prctl(PR_CAPBSET_READ, number, 0, 0, 0) !== 1) continue;
    const dropped = prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    if (dropped < 0) return dropped;
  }
  const result = capget(0);
  if (result < 0) return result;
  const words = [capabilities & 0xffffffffn, capabilities >> 32n].map(Number);
  for (let at = 0; at < data.length; at += 4) {
    data.writeUInt32LE((data.readUInt32LE(at) & ~(words[Math.floor(at / 12)] ?? 0)) >>> 0, at);
  }
  header.writeInt32LE(0, 4);
  return syscallBuffers(SYS.capset, header, data);
}

const link = Buffer.alloc(64);

/** The inode of a thread's namespace of that type ('user', 'pid', 'net', ...), or 0 if it is gone. */
export function namespaceInode(tid: number | 'self', type: string): number {
  const length = readlink(`/proc/${tid}/ns/${type}`, link, link.length);
  if (length < 0) return 0;
  // "user:[4026531837]"
  let inode = 0;
  for (let i = type.length + 2; i < length - 1; i++) inode = inode * 10 + ((link[i] ?? 0) - 0x30);
  return inode;
}

export const CLONE_NEWUSER = 0x10000000;
