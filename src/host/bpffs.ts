/** The bpffs mounts of the machine: those of this mount namespace, and those of every other that has a process. */
import { readdirSync } from 'node:fs';
import { magicOf, openDirectoryIn, openMountPoint, pathText } from '../sys/directory.js';
import { E } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from '../sys/libc.js';
import { ProcDir } from '../sys/proc-dir.js';

const BPF_FS_MAGIC = 0xcafe4a11;

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
 * Calls `visit` with every bpffs once, a directory that is open meanwhile and its path from
 * here: '/sys/fs/bpf', or '/proc/PID/root/sys/fs/bpf' where another mount namespace has it.
 */
export function forEachBpffs(visit: (directory: Fd, path: string) => void): void {
  const seen: Mount[] = [];
  const namespaces = new Set<number>();
  for (const process of ['self' as const, ...processes()]) {
    using task = new ProcDir(process);
    const namespace = task.namespaceInode('mnt');
    if (namespace === 0 || namespaces.has(namespace)) continue;
    namespaces.add(namespace);
    using root = task.open('root', O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!root.isOpen) continue; // has ended
    for (const mount of bpffsMounts(task.text('mountinfo'))) {
      if (seen.some((other) => covers(other, mount))) continue;
      using directory = openMount(root, mount);
      if (!directory.isOpen) continue;
      seen.push(mount);
      visit(directory, `${process === 'self' ? '' : `/proc/${process}/root`}${pathText(mount.point)}`);
    }
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

/**
 * Those of whole file systems first, as they show what the others do. One behind a FUSE mount is
 * left out: who serves that may be a guest, and let us wait for ever on the way.
 */
function bpffsMounts(mountinfo: string): Mount[] {
  const mounts = mountinfo
    .trimEnd()
    .split('\n')
    .map((line): Mount => {
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

/** Not open if something else is there: a mount over it. */
function openMount(root: Fd, { id, point }: Mount): Fd {
  using found = openMountPoint(root, point);
  if (!found.isOpen) return found;
  using self = new ProcDir('self');
  // A mount of another type is not even asked what it is: it may be one that does not answer.
  const isIt = new RegExp(`^mnt_id:\\s+${id}$`, 'm').test(self.text(`fdinfo/${found.number}`));
  return isIt && magicOf(found) === BPF_FS_MAGIC ? openDirectoryIn(found, Buffer.from('.')) : new Fd(-E.ENOENT);
}
