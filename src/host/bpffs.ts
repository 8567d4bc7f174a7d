/** The bpffs mounts of the machine: those of this mount namespace, and those of every other that has a process. */
import { readdirSync, readlinkSync } from 'node:fs';
import { magicOf, openDirectoryIn, openMountPoint, pathText } from '../sys/directory.js';
import { close, O_CLOEXEC, O_DIRECTORY, O_PATH, open } from '../sys/libc.js';
import { readProc } from '../sys/procfs.js';

const BPF_FS_MAGIC = 0xcafe4a11;

/** A process's view of the file system. */
interface View {
  readonly mountinfo: string;
  /** The path of its root directory from here. */
  readonly root: string;
}

interface Mount {
  /** As /proc/PID/fdinfo has it too. */
  readonly id: string;
  /** The mount that it is on. */
  readonly parent: string;
  readonly type: string;
  readonly device: string;
  /** The directory of the file system that is mounted. */
  readonly subtree: string;
  readonly point: Buffer;
}

/**
 * Calls `visit` with every bpffs once, a directory fd that is open meanwhile and its path from
 * here: '/sys/fs/bpf', or '/proc/PID/root/sys/fs/bpf' where another mount namespace has it.
 */
export function forEachBpffs(visit: (directory: number, path: string) => void): void {
  const seen: Mount[] = [];
  for (const view of views()) {
    const root = open(view.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) continue; // has ended
    try {
      for (const mount of bpffsMounts(view.mountinfo)) {
        if (seen.some((other) => covers(other, mount))) continue;
        const directory = openMount(root, mount);
        if (directory < 0) continue;
        seen.push(mount);
        try {
          visit(directory, `${view.root === '/' ? '' : view.root}${pathText(mount.point)}`);
        } finally {
          close(directory);
        }
      }
    } finally {
      close(root);
    }
  }
}

/** One process of each mount namespace, this one first. */
function views(): View[] {
  const seen = new Set([readlinkSync('/proc/self/ns/mnt')]);
  const others = readdirSync('/proc').flatMap((entry): View[] => {
    if (!/^\d+$/.test(entry)) return [];
    const namespace = linkOf(`/proc/${entry}/ns/mnt`);
    if (namespace === undefined || seen.has(namespace)) return [];
    seen.add(namespace);
    return [{ mountinfo: `/proc/${entry}/mountinfo`, root: `/proc/${entry}/root` }];
  });
  return [{ mountinfo: '/proc/self/mountinfo', root: '/' }, ...others];
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // the process has ended
  }
}

/**
 * Those of whole file systems first, as they show what the others do. One behind a FUSE mount is
 * left out: who serves that may be a guest, and let us wait for ever on the way.
 */
function bpffsMounts(mountinfo: string): Mount[] {
  const lines = (readProc(mountinfo) ?? '').trimEnd().split('\n');
  const mounts = lines.map((line): Mount => {
    const [fields = '', source = ''] = line.split(' - ');
    const [id = '', parent = '', device = '', subtree = '', point = ''] = fields.split(' ');
    return { id, parent, device, subtree, point: unescaped(point), type: source.split(' ')[0] ?? '' };
  });
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const isBehindFuse = ({ id, parent, type }: Mount): boolean => {
    const above = parent === id ? undefined : byId.get(parent);
    return type.startsWith('fuse') || (above !== undefined && isBehindFuse(above));
  };
  return mounts
    .filter((mount) => mount.type === 'bpf' && !isBehindFuse(mount))
    .sort((a, b) => a.subtree.length - b.subtree.length);
}

/** mountinfo writes space, tab, newline and backslash as \ooo. */
function unescaped(path: string): Buffer {
  const bytes = path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1');
}

/** Whether what `inner` shows is shown by `outer`. */
function covers(outer: Mount, inner: Mount): boolean {
  const prefix = outer.subtree === '/' ? '/' : `${outer.subtree}/`;
  return outer.device === inner.device && (inner.subtree === outer.subtree || inner.subtree.startsWith(prefix));
}

/** -errno, or -1 if something else is there: a mount over it, or the process is another one by now. */
function openMount(root: number, { id, point }: Mount): number {
  const found = openMountPoint(root, point);
  if (found < 0) return found;
  try {
    // A mount of another type is not even asked what it is: it may be one that does not answer.
    const isIt = new RegExp(`^mnt_id:\\s+${id}$`, 'm').test(readProc(`/proc/self/fdinfo/${found}`) ?? '');
    return isIt && magicOf(found) === BPF_FS_MAGIC ? openDirectoryIn(found, Buffer.from('.')) : -1;
  } finally {
    close(found);
  }
}
