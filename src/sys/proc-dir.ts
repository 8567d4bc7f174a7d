/**
 * A task's directory in /proc, held open. What is opened through it belongs to that task, or fails
 * with ESRCH once the task is gone, even if its number belongs to another task by then
 * (fs/proc/base.c, get_proc_task()).
 */
import { fstatSync } from 'node:fs';
import { Block } from './block.js';
import { E } from './errno.js';
import { Fd } from './fd.js';
import {
  ioctl,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  openat,
  read,
  readlinkat,
  SYS,
  setns,
  syscall3,
} from './libc.js';

const NS_GET_PARENT = 0xb702;
const NS_GET_OWNER_UID = 0xb704;
const CLONE_NEWNET = 0x40000000;
const NOBODY = 65534;
/** The greatest depth of user namespaces (kernel/user_namespace.c). */
const MAX_USER_NS = 64;
const AT_FDCWD = -100;

const link = Buffer.alloc(64);
const chunk = Buffer.alloc(8192);

export class ProcDir implements Disposable {
  readonly #fd: Fd;

  /** @param task a process or thread id, as seen from this process */
  constructor(task: number | 'self') {
    this.#fd = new Fd(openat(AT_FDCWD, `/proc/${task}`, O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  get isOpen(): boolean {
    return this.#fd.isOpen;
  }

  /** The fd's number, for {@link openat} by another thread of this process; -errno if the task does not exist. */
  get number(): number {
    return this.#fd.number;
  }

  open(path: string, flags: number): Fd {
    return openIn(this.number, path, flags);
  }

  /** The contents of /proc/PID/status; '' if the task is gone. */
  status(): string {
    return statusIn(this.number);
  }

  /** The number of its process, which another one may have once the task is gone; 0 if it is gone already. */
  get threadGroup(): number {
    return Number(/^Tgid:\t(\d+)/m.exec(this.status())?.[1] ?? 0);
  }

  /** The text of another file there, a character a byte; '' if the task is gone. */
  text(path: string): string {
    return textIn(this.number, path);
  }

  /** The inode of the task's namespace of a type ('user', 'pid', 'net', ...); 0 if the task is gone. */
  namespaceInode(type: string): number {
    return inodeOf(readlinkat(this.number, `ns/${type}`, link, link.length), type);
  }

  /**
   * The task's user namespace: its inode, and the uid of who made it, as seen from this process.
   * Undefined if the task is gone.
   */
  userNamespace(): { readonly inode: number; readonly ownerUid: number } | undefined {
    using file = this.open('ns/user', O_RDONLY | O_CLOEXEC);
    if (!file.isOpen) return undefined;
    const uid = Block.alloc(4);
    if (ioctl(file.number, NS_GET_OWNER_UID, uid.address) < 0) return undefined;
    return { inode: fstatSync(file.number).ino, ownerUid: uid.words[0] ?? NOBODY };
  }

  /** The effective uid, as seen from this process; that of nobody if the task is gone. */
  userId(): number {
    return Number(/^Uid:\s+\d+\s+(\d+)/m.exec(this.status())?.[1] ?? NOBODY);
  }

  /** The real, effective and saved uid, as seen from this process; none if the task is gone. */
  userIds(): number[] {
    const line = /^Uid:\s+(\d+)\s+(\d+)\s+(\d+)/m.exec(this.status());
    return line?.slice(1).map(Number) ?? [];
  }

  /** The task's id in every pid namespace that it is in, outermost first; empty if the task is gone. */
  pidChain(): number[] {
    return pidChainOf(this.status());
  }

  /** Whether the task's user namespace is the one with this inode, or below it. */
  isUserNsWithin(ancestor: number): boolean {
    let at = this.open('ns/user', O_RDONLY | O_CLOEXEC);
    for (let depth = 0; at.isOpen && depth < MAX_USER_NS; depth++) {
      using current = at;
      if (fstatSync(current.number).ino === ancestor) return true;
      at = new Fd(syscall3(SYS.ioctl, current.number, NS_GET_PARENT, 0));
    }
    at.close();
    return false;
  }

  /**
   * Runs `action` with the calling thread in the task's network namespace, then returns to its own.
   * Only this thread moves (setns(2)).
   * @returns -ESRCH if the task is gone
   */
  inNetworkNamespace(action: () => number): number {
    using theirs = this.open('ns/net', O_RDONLY | O_CLOEXEC);
    if (!theirs.isOpen) return -E.ESRCH;
    using mine = openIn(AT_FDCWD, '/proc/thread-self/ns/net', O_RDONLY | O_CLOEXEC);
    const moved = setns(theirs.number, CLONE_NEWNET);
    if (moved < 0) return moved;
    try {
      return action();
    } finally {
      setns(mine.number, CLONE_NEWNET);
    }
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Like {@link ProcDir.open}, with the directory's number: for a worker thread, which shares it. */
export function openIn(directory: number, path: string, flags: number): Fd {
  return new Fd(openat(directory, path, flags));
}

/** Like {@link ProcDir.status}, with the directory's number. */
export function statusIn(directory: number): string {
  return textIn(directory, 'status');
}

function textIn(directory: number, path: string): string {
  using file = openIn(directory, path, O_RDONLY | O_CLOEXEC);
  if (!file.isOpen) return '';
  let text = '';
  // A task can have 65,536 groups, all of which are listed there.
  for (let length = 1; length > 0; ) {
    length = read(file.number, chunk, chunk.length);
    text += chunk.toString('latin1', 0, Math.max(length, 0));
  }
  return text;
}

/** As {@link ProcDir.pidChain}, from the contents of /proc/PID/status. */
export function pidChainOf(status: string): number[] {
  const line = /^NSpid:\s+(.+)$/m.exec(status)?.[1] ?? '';
  return line === '' ? [] : line.split(/\s+/).map(Number);
}

/** The number in "user:[4026531837]", the first `length` bytes of `link`; 0 if there is no link. */
function inodeOf(length: number, type: string): number {
  let inode = 0;
  for (let i = type.length + 2; i < length - 1; i++) inode = inode * 10 + ((link[i] ?? 0) - 0x30);
  return inode;
}
