/** One trapped bpf() call: who made it, with what, and with which rights. */
import { readFileSync } from 'node:fs';
import type { Namespace } from '../model/namespaces.js';
import { close } from '../sys/libc.js';
import { openMemory, readMemory, writeMemory } from '../sys/memory.js';
import { isValid, type Notification } from '../sys/seccomp.js';
import {
  CAP_BPF,
  CAP_SYS_ADMIN,
  CAP_SYSLOG,
  type Capabilities,
  effectiveCapabilities,
  getThreadFd,
  isUserNsWithin,
  namespaceInode,
} from '../sys/task.js';
import type { OwnRights } from './own-rights.js';

/** Thrown when the caller is found to be gone: there is nobody to answer. */
export class CallerGone extends Error {}

/** What a handler needs to be read before it runs; the rest is not paid for. */
export interface Needs {
  /** It writes to the caller's memory. */
  readonly memory?: true;
  /** It asks for the caller's capabilities. */
  readonly rights?: true;
}

/** A command's outcome: a value >= 0, -errno, a fd to hand over (closed afterwards), or the kernel's turn. */
export type Reply = number | { readonly fd: number } | 'continue';

export class Call {
  readonly listener: number;
  readonly id: Buffer;
  readonly tid: number;
  readonly namespace: Namespace;
  /** union bpf_attr as the caller passed it, zero behind `size`. Reused by the next call: copy what must stay. */
  readonly attr: Buffer;
  readonly size: number;
  readonly attrAddress: number;
  readonly #memory: number;
  /** Effective in the caller's own user namespace. */
  readonly #capabilities: Capabilities;
  readonly #userNs: number;
  readonly #own: OwnRights;

  /** @throws CallerGone */
  constructor(
    notification: Notification,
    listener: number,
    namespace: Namespace,
    attr: { buffer: Buffer; size: number; address: number },
    needs: Needs,
    own: OwnRights,
  ) {
    this.listener = listener;
    this.id = notification.buffer;
    this.tid = notification.tid;
    this.namespace = namespace;
    this.attr = attr.buffer;
    this.size = attr.size;
    this.attrAddress = attr.address;
    this.#own = own;
    this.#memory = needs.memory ? openMemory(this.tid) : -1;
    this.#capabilities = needs.rights ? effectiveCapabilities(this.tid) : 0n;
    this.#userNs = needs.rights ? namespaceInode(this.tid, 'user') : 0;
    // All that was read by thread id, the attr included, counts only if it still waits.
    if (!isValid(listener, this.id)) {
      this.close();
      throw new CallerGone();
    }
  }

  close(): void {
    if (this.#memory >= 0) close(this.#memory);
  }

  /** Copies guest memory; false for EFAULT. @throws CallerGone */
  read(address: number, into: Buffer, length: number): boolean {
    return this.readSome(address, into, length) === length;
  }

  /** Copies guest memory up to where it cannot be read; returns how much that was. @throws CallerGone */
  readSome(address: number, into: Buffer, length: number): number {
    const done = readMemory(this.tid, address, into, length);
    if (!isValid(this.listener, this.id)) throw new CallerGone();
    return done;
  }

  /** Writes guest memory; false for EFAULT. */
  write(address: number, from: Buffer, length: number): boolean {
    return writeMemory(this.#memory, address, from, length);
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

  /** The namespace's rule: CAP_BPF or CAP_SYS_ADMIN in the user namespace that owns it. */
  get mayUseIds(): boolean {
    // The init user namespace is an ancestor of every other: its capabilities count in all.
    const isInOwner = this.#userNs === this.namespace.spec.userNs || this.#userNs === this.#own.userNs;
    return isInOwner && (this.#capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
  }

  /** Its own user namespace: an inode. */
  get userNs(): number {
    return this.#userNs;
  }

  /** The same capability, in the caller's own user namespace, makes a child namespace. */
  get mayMakeNamespace(): boolean {
    return (this.#capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
  }

  /** Whether the caller's user namespace is the one that owns its BPF namespace, or below that. */
  get isWithinOwner(): boolean {
    const owner = this.namespace.spec.userNs;
    return this.#userNs === owner || isUserNsWithin(this.tid, owner);
  }

  /** What the kernel's capable() would grant: capabilities in the init user namespace. */
  get initCapabilities(): Capabilities {
    return this.#userNs === this.#own.userNs ? this.#capabilities : 0n;
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

  /** A copy of one of the caller's fds: to be closed. -errno on failure. */
  takeFd(fd: number): number {
    return getThreadFd(this.tid, fd, () => leaderOf(this.tid));
  }
}

const word = Buffer.alloc(4);

/** The thread group id of a thread, or 0. */
function leaderOf(tid: number): number {
  try {
    return Number(/^Tgid:\t(\d+)/m.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
