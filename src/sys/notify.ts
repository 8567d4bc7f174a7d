/** Tells a service manager how we are: the datagrams of sd_notify(3). */

import { close, sendto, socket } from './libc.js';
import { addressLength, unixAddress } from './unix-address.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;

/** Lines like READY=1. Nothing if no manager asked for it, or it is gone; never fails. */
export function notifyManager(...lines: readonly string[]): void {
  const path = process.env.NOTIFY_SOCKET ?? '';
  if (!/^[/@]./.test(path)) return;
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const message = Buffer.from(lines.join('\n'));
  sendto(fd, message, message.length, MSG_NOSIGNAL, unixAddress(path), addressLength(path));
  close(fd);
}

/** How often the manager wants to hear WATCHDOG=1 at least, in ms: half of its limit. undefined if it does not. */
export function watchdogInterval(): number | undefined {
  const limit = Number(process.env.WATCHDOG_USEC ?? 0);
  return Number.isFinite(limit) && limit > 0 ? Math.max(1, Math.floor(limit / 2000)) : undefined;
}
