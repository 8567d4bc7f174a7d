/** Talks to a service manager: the datagrams of sd_notify(3), and the fds it kept for us (sd_listen_fds(3)). */

import { close, fcntl, O_CLOEXEC, sendmsg, socket } from './libc.js';
import { Message } from './message.js';
import { addressLength, unixAddress } from './unix-address.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = O_CLOEXEC;
const MSG_NOSIGNAL = 0x4000;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** The first fd that a manager passes. */
const FIRST = 3;
/** More is refused by the manager, as are control characters and colons. */
const MAX_NAME = 255;

/** What a manager keeps. */
export interface StoredFd {
  readonly name: string;
  readonly fd: number;
}

/** Where fds are kept if no manager started this process. */
let standIn: string | undefined;

/** Has fds kept by whoever listens at `path`, in a manager's place: only while there is nobody there are they not. */
export function useInPlaceOfManager(path: string): void {
  standIn = path;
}

/** Lines like READY=1. Nothing if no manager asked for it, or it is gone; never fails. */
export function notifyManager(...lines: readonly string[]): void {
  send(managerSocket(), lines);
}

/** Whether a manager started this process, or one above it. */
export function isService(): boolean {
  return managerSocket() !== undefined;
}

/** Has the manager keep a copy of an fd under that name (systemd: FileDescriptorStoreMax=), until all that use it are gone. */
export function storeFd(name: string, fd: number): void {
  send(managerSocket() ?? standIn, ['FDSTORE=1', `FDNAME=${name}`], fd);
}

/** Has the manager close what it keeps under that name. */
export function removeStoredFd(name: string): void {
  send(managerSocket() ?? standIn, ['FDSTOREREMOVE=1', `FDNAME=${name}`]);
}

/** Whether a manager would keep an fd under that name. */
export function isFdName(name: string): boolean {
  return name.length <= MAX_NAME && /^[!-9;-~]*$/.test(name);
}

/** The fds, by name, that the manager kept when an earlier start of this service ended: the caller's from now on, close-on-exec. */
export function takeStoredFds(): StoredFd[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  if (Number(LISTEN_PID) !== process.pid) return [];
  const names = (LISTEN_FDNAMES ?? '').split(':');
  return Array.from({ length: Number(LISTEN_FDS) || 0 }, (_, i) => {
    fcntl(FIRST + i, F_SETFD, FD_CLOEXEC);
    return { name: names[i] ?? '', fd: FIRST + i };
  });
}

/** How often the manager wants to hear WATCHDOG=1 at least, in ms: half of its limit. undefined if it does not. */
export function watchdogInterval(): number | undefined {
  const limit = Number(process.env.WATCHDOG_USEC ?? 0);
  return Number.isFinite(limit) && limit > 0 ? Math.max(1, Math.floor(limit / 2000)) : undefined;
}

function managerSocket(): string | undefined {
  const path = process.env.NOTIFY_SOCKET ?? '';
  return /^[/@]./.test(path) ? path : undefined;
}

function send(path: string | undefined, lines: readonly string[], passed?: number): void {
  if (path === undefined) return;
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const text = Buffer.from(lines.join('\n'));
  const name = unixAddress(path).subarray(0, addressLength(path));
  const message = new Message(text.length, passed === undefined ? 0 : 1, name);
  text.copy(message.data);
  if (passed !== undefined) message.pass(passed);
  sendmsg(fd, message.buffer, MSG_NOSIGNAL);
  close(fd);
}
