/** Communicates with a service manager: datagrams of sd_notify(3), and the fds that it kept (sd_listen_fds(3)). */

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
/** The longest name. The manager refuses longer ones, and names with control characters or colons. */
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

/** Sends lines like READY=1. Does nothing if no manager asked for them, or it is gone. Never fails. */
export function notifyManager(...lines: readonly string[]): void {
  send(managerSocket(), lines);
}

/** Whether a service manager started this process, or one of its ancestors. */
export function isService(): boolean {
  return managerSocket() !== undefined;
}

/**
 * Makes the manager keep a copy of an fd under a name (systemd: FileDescriptorStoreMax=), until
 * nothing uses it any more.
 */
export function storeFd(name: string, fd: number): void {
  send(managerSocket() ?? standIn, ['FDSTORE=1', `FDNAME=${name}`], fd);
}

/** Makes the manager close what it keeps under a name. */
export function removeStoredFd(name: string): void {
  send(managerSocket() ?? standIn, ['FDSTOREREMOVE=1', `FDNAME=${name}`]);
}

/** Whether a manager keeps an fd under this name. */
export function isFdName(name: string): boolean {
  return name.length <= MAX_NAME && /^[!-9;-~]*$/.test(name);
}

/**
 * The fds, by name, that the manager kept when an earlier start of this service ended. The caller
 * owns them; they are close-on-exec.
 */
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

/**
 * The longest interval for WATCHDOG=1, in ms: half of the manager's limit. Undefined if the manager
 * does not watch.
 */
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
