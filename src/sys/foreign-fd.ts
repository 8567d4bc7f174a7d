/**
 * Descriptors of files that others have opened. Closing one may wait for them: FUSE has its server
 * answer each close(2), and a socket lingers. So it is done on a thread that does nothing else, and
 * few of them wait for the files of one owner.
 */
import type { Kind } from '../model/ids.js';
import { kindOfFd } from './bpf.js';
import { E, Refusal } from './errno.js';
import { Fd } from './fd.js';
import { closeOnThread, fcntl, hasEnded, O_PATH, readlink, statx } from './libc.js';
import { copyFd } from './task.js';

/** Threads for the files of one owner. */
const THREADS = 4;
/** How long a file takes that takes long, in ms. A thread may have to wait for a CPU. */
const LONG = 1000;
/** The most files of an owner that may wait until they are closed. */
const MOST_WAITING = 256;
/** How often is looked which files are closed, in ms, while there are some. */
const LOOK = 250;

/** Whoever opened the file, together with all that count as one: a guest, or a user. */
export type Owner = string;

/** The owner of the files of a user's processes. */
export function ownerOfUid(uid: number): Owner {
  return `uid ${uid}`;
}

interface Closing {
  readonly owner: Owner;
  readonly fd: number;
  readonly since: number;
  /** Undefined as long as none has begun. */
  thread: number | undefined;
}

let closing: Closing[] = [];
let timer: NodeJS.Timeout | undefined;

export class ForeignFd extends Fd {
  readonly #owner: Owner;

  /** As {@link Fd}. */
  constructor(result: number, owner: Owner) {
    super(result);
    this.#owner = owner;
  }

  /** Returns at once, whatever the file is. */
  override close(): void {
    if (this.isOpen && mayWait(this.number)) closeLater(this.release(), this.#owner);
    else super.close();
  }
}

/**
 * As getFd() in task.ts, of a file that may be any.
 * @throws Refusal ENOMEM if closing the owner's files takes long; and as Fd
 */
export function getForeignFd(pidfd: Pick<Fd, 'number'>, fd: number, owner: Owner): ForeignFd {
  requireQuickFiles(owner);
  return new ForeignFd(copyFd(pidfd, fd), owner);
}

/** @throws Refusal ENOMEM if closing the owner's files takes long */
export function requireQuickFiles(owner: Owner): void {
  if (closing.length === 0) return;
  forgetEnded();
  const before = performance.now() - LONG;
  const theirs = closing.filter((each) => each.owner === owner);
  if (theirs.length < MOST_WAITING && theirs.filter(({ since }) => since < before).length < THREADS) return;
  throw new Refusal(E.ENOMEM, 'close', `the files of ${owner} take too long to close`);
}

/** A copy of a caller's fd. */
export interface CopiedFd {
  readonly fd: Fd;
  /** Of the object behind it; undefined for another file. */
  readonly kind: Kind | 'token' | undefined;
}

/** Of a BPF object nothing has to be looked at before it is closed. */
export function copied(fd: Fd, kind: CopiedFd['kind']): CopiedFd {
  return { fd: kind === undefined ? fd : new Fd(fd.release()), kind };
}

const F_GETFL = 3;
const STATX_TYPE = 1;
const DIRECTORY = 0o040000;
const status = Buffer.alloc(256);
/** Of stx_mode. */
const MODE = 28;
const link = Buffer.alloc(4);

/** BPF objects, directories, network namespaces and mere places (O_PATH) have nobody to tell of their end. */
function mayWait(fd: number): boolean {
  if (kindOfFd(fd) !== undefined) return false;
  if ((fcntl(fd, F_GETFL, 0) & O_PATH) !== 0) return false;
  if (statx(fd, STATX_TYPE, status) === 0 && (status.readUInt16LE(MODE) & 0o170000) === DIRECTORY) return false;
  // The name of a file in a directory begins with a slash.
  return readlink(`/proc/self/fd/${fd}`, link, link.length) < 0 || link.toString('latin1') !== 'net:';
}

function closeLater(fd: number, owner: Owner): void {
  closing.push({ owner, fd, since: performance.now(), thread: undefined });
  forgetEnded();
  begin();
  timer ??= setInterval(look, LOOK).unref();
}

/** Begins with what waits, as far as its owner has threads left. */
function begin(): void {
  const active = new Map<Owner, number>();
  for (const { owner, thread } of closing) if (thread !== undefined) active.set(owner, (active.get(owner) ?? 0) + 1);
  for (const each of closing) {
    const threads = active.get(each.owner) ?? 0;
    if (each.thread !== undefined || threads >= THREADS) continue;
    each.thread = closeOnThread(each.fd);
    active.set(each.owner, threads + 1);
  }
}

function forgetEnded(): void {
  closing = closing.filter(({ thread }) => thread === undefined || !hasEnded(thread));
}

function look(): void {
  forgetEnded();
  begin();
  if (closing.length > 0) return;
  clearInterval(timer);
  timer = undefined;
}
