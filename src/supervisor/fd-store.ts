/**
 * What the supervisor has is kept by the service manager too, if one started it: systemd's fd
 * store. A service that is restarted, or whose processes are all killed, gets it back.
 */
import { close } from '../sys/libc.js';
import { isFdName, removeStoredFd, storeFd, takeStoredFds } from '../sys/notify.js';
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

/** What an earlier start of the service left, ours to close. The journal is -1 if there is none. */
export function takeStored(): Estate {
  let journal = -1;
  const listeners: SavedListener[] = [];
  for (const { name, fd } of takeStoredFds()) {
    const listener = listenerOf(name, fd);
    if (listener) listeners.push(listener);
    else if (name === JOURNAL && journal < 0) journal = fd;
    else close(fd);
  }
  return { pid: process.pid, journal, listeners };
}

/** For who has it all from the process that ran meanwhile. */
export function closeStored(): void {
  for (const { fd } of takeStoredFds()) close(fd);
}

/** All there is to know of a listener. A container's id that no name can hold is left out: nothing then tells when it goes. */
export function nameOf({ token, namespace, container }: SavedListener): string {
  const name = `listener_${token}_${namespace}_`;
  return isFdName(name + container) ? name + container : name;
}

/** The other way round; undefined if it is none of ours. */
export function listenerOf(name: string, fd: number): SavedListener | undefined {
  const [, token, namespace, container = ''] = LISTENER.exec(name) ?? [];
  if (token === undefined) return undefined;
  return { token: Number(token), fd, namespace: Number(namespace), container };
}
