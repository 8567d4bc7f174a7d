/**
 * Readiness of raw fds on Node's event loop. The only user of koffi.node.poll, which
 * is undocumented and whose types are wrong: the callback gets (status, events).
 */
import koffi from 'koffi';
import { poll as pollOnce } from './libc.js';

interface Events {
  readonly readable?: boolean;
  readonly disconnect?: boolean;
}

interface PollHandle {
  close(): void;
  unref(): void;
}

type PollFunction = (
  fd: number,
  options: { readable: boolean; disconnect: boolean },
  callback: (status: number, events: Events) => void,
) => PollHandle;

export interface Watch {
  /** Stops watching; the fd stays the caller's. */
  close(): void;
}

/** Calls `onReady` whenever `fd` is readable, has hung up, or failed. */
export function watch(fd: number, onReady: () => void): Watch {
  const poll = koffi.node.poll as unknown as PollFunction;
  return poll(fd, { readable: true, disconnect: true }, () => onReady());
}

const POLLHUP = 0x10;
const pollfd = Buffer.alloc(8);

/** Whether the other side of `fd` is gone for good: for a listener, no task uses its filter. */
export function hasHungUp(fd: number): boolean {
  pollfd.writeInt32LE(fd, 0);
  pollfd.writeUInt32LE(0, 4);
  return pollOnce(pollfd, 1, 0) > 0 && (pollfd.readUInt16LE(6) & POLLHUP) !== 0;
}
