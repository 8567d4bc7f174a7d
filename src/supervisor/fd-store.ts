/**
 * Keeps the supervisor's fds in systemd's fd store, if systemd started it, or with `bpfns keeper`
 * (keeper.ts). A service that restarts, or whose processes are all killed, gets them back.
 */
import { close } from '../sys/libc.js';
import { isFdName, removeStoredFd, type StoredFd, storeFd, takeStoredFds } from '../sys/notify.js';
import type { Estate, SavedListener } from './protocol.js';

const JOURNAL = 'journal';
const LISTENER = /^listener_(\d+)_(\d+)_(.*)$/;

export function storeJournal(fd: number): void {
  storeFd(JOURNAL, fd);
}

export function storeListener(listener: SavedListener): void {
  storeFd(nameOf(listener), listener.fd);
}

export function unstoreListener(listener: SavedListener): void {
  removeStoredFd(nameOf(listener));
}

/**
 * The fds that an earlier start of the service left. The caller closes them. The journal is -1 if
 * there is none.
 */
export function takeStored(): Estate {
  return estateOf(takeStoredFds());
}

/**
 * Builds an estate from fds with names, which are this process's. The journal is -1 if there is
 * none; unknown fds are closed.
 */
export function estateOf(stored: readonly StoredFd[]): Estate {
  let journal = -1;
  const listeners: SavedListener[] = [];
  for (const { name, fd } of stored) {
    const listener = listenerOf(name, fd);
    if (listener) listeners.push(listener);
    else if (name === JOURNAL && journal < 0) journal = fd;
    else close(fd);
  }
  return { pid: process.pid, journal, listeners };
}

/** The inverse of {@link estateOf}. */
export function storedOf({ journal, listeners }: Estate): StoredFd[] {
  return [
    { name: JOURNAL, fd: journal },
    ...listeners.map((listener) => ({ name: nameOf(listener), fd: listener.fd })),
  ];
}

/** Closes the copies from the store, in a process that got everything from another process instead. */
export function closeStored(): void {
  for (const { fd } of takeStoredFds()) close(fd);
}

/**
 * Encodes everything about a listener in a name. A container id that does not fit is left out; then
 * nothing reports that the container has left.
 */
export function nameOf({ token, namespace, container }: SavedListener): string {
  const name = `listener_${token}_${namespace}_`;
  return isFdName(name + container) ? name + container : name;
}

/** Decodes such a name; undefined for a name that is not ours. */
export function listenerOf(name: string, fd: number): SavedListener | undefined {
  const [, token, namespace, container = ''] = LISTENER.exec(name) ?? [];
  if (token === undefined) return undefined;
  return { token: Number(token), fd, namespace: Number(namespace), container };
}
