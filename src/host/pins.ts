/** Finds pinned objects: walks the bpffs mounts of this mount namespace. */
import type { Kind } from '../model/ids.js';
import { idOfFd, kindOfFd, objGet } from '../sys/bpf.js';
import { entriesOf, openDirectoryIn, openFileIn, pathText, removeFrom } from '../sys/directory.js';
import { check } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { forEachBpffs } from './bpffs.js';

export interface Pin {
  readonly kind: Kind;
  readonly host: number;
  /** For people: it may lead elsewhere by now, and bytes that are no UTF-8 stand as \xHH. */
  readonly path: string;
}

/** Each level keeps a fd. Nobody has so many, but a guest who wants to be one too deep. */
const MAX_DEPTH = 256;

/** Every pin of the machine that can be reached from here. */
export function findPins(): Pin[] {
  const pins: Pin[] = [];
  forEachPin((pin) => pins.push(pin));
  return pins;
}

/**
 * Calls `visit` with every pin, and a function that removes it: from the directory in which it
 * was found, wherever that is by now. Who exchanges the name meanwhile may write to that
 * directory, and could have removed it themselves.
 */
export function forEachPin(visit: (pin: Pin, remove: () => void) => void): void {
  forEachBpffs((directory, path) => walk(directory, path, 0, visit));
}

function walk(directory: Fd, path: string, depth: number, visit: Parameters<typeof forEachPin>[0]): void {
  for (const { name, isDirectory, isFile } of entriesOf(directory)) {
    const itsPath = `${path}/${pathText(name)}`;
    if (isFile) {
      const pin = pinIn(directory, name, itsPath);
      if (pin) visit(pin, () => check(removeFrom(directory, name), 'unlinkat', `cannot remove '${itsPath}'`));
    } else if (isDirectory && depth < MAX_DEPTH) {
      using inner = openDirectoryIn(directory, name);
      // Not if it was removed or exchanged meanwhile.
      if (inner.isOpen) walk(inner, itsPath, depth + 1, visit);
    }
  }
}

function pinIn(directory: Fd, name: Buffer, path: string): Pin | undefined {
  using file = openFileIn(directory, name);
  using object = new Fd(file.isOpen ? objGet(`/proc/self/fd/${file.number}`) : file.number);
  const kind = object.isOpen ? kindOfFd(object.number) : undefined;
  if (kind === undefined || kind === 'token') return undefined;
  const host = idOfFd(object.number, kind);
  return host > 0 ? { kind, host, path } : undefined;
}
