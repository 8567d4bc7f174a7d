/** Where objects are pinned: walks the bpffs mounts of this mount namespace. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kind } from '../model/ids.js';
import { idOfFd, kindOfFd, objGet } from '../sys/bpf.js';
import { close } from '../sys/libc.js';

export interface Pin {
  readonly kind: Kind;
  readonly host: number;
  readonly path: string;
}

/** Every pin that can be reached from here. */
export function findPins(): Pin[] {
  const seen = new Set<string>();
  const pins: Pin[] = [];
  for (const { mountPoint, device } of bpffsMounts()) {
    // The same file system bound twice shows the same pins: once is enough.
    if (seen.has(device)) continue;
    seen.add(device);
    walk(mountPoint, pins);
  }
  return pins;
}

function bpffsMounts(): Array<{ mountPoint: string; device: string }> {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n');
  return lines.flatMap((line) => {
    const [fields = '', type = ''] = line.split(' - ');
    const [, , device = '', , mountPoint = ''] = fields.split(' ');
    return type.startsWith('bpf ') ? [{ device, mountPoint: unescapeMount(mountPoint) }] : [];
  });
}

/** mountinfo writes space, tab, newline and backslash as \ooo. */
function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function walk(directory: string, pins: Pin[]): void {
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return; // removed meanwhile
  }
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) walk(path, pins);
    else if (entry.isFile()) pins.push(...pinAt(path));
  }
}

function pinAt(path: string): Pin[] {
  const fd = objGet(path);
  if (fd < 0) return [];
  try {
    const kind = kindOfFd(fd);
    const host = kind && kind !== 'token' ? idOfFd(fd, kind) : 0;
    return kind && kind !== 'token' && host > 0 ? [{ kind, host, path }] : [];
  } finally {
    close(fd);
  }
}
