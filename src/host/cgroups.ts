/** Finds the path of a cgroup id in the v2 hierarchy. */
import { readFileSync, readlinkSync } from 'node:fs';
import { close, O_PATH, O_RDONLY, open, openByHandleAt } from '../sys/libc.js';

const FILEID_KERNFS = 0xfe;

/** Where the cgroup2 hierarchy is mounted; undefined if it is not. */
export function cgroup2Mount(): string | undefined {
  const line = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((each) => each.split(' ')[2] === 'cgroup2');
  return line?.split(' ')[1];
}

/** '/' for the root, '/system.slice/x', or undefined if the cgroup is gone. */
export function cgroupPath(id: bigint): string | undefined {
  const mount = cgroup2Mount();
  if (!mount) return undefined;
  const root = open(mount, O_RDONLY);
  if (root < 0) return undefined;
  // struct file_handle: bytes, type, then the 64-bit id (kernel/cgroup: kernfs).
  const handle = Buffer.alloc(16);
  handle.writeUInt32LE(8, 0);
  handle.writeInt32LE(FILEID_KERNFS, 4);
  handle.writeBigUInt64LE(id, 8);
  const fd = openByHandleAt(root, handle, O_PATH);
  close(root);
  if (fd < 0) return undefined;
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith(mount) ? path.slice(mount.length) || '/' : path;
  } catch {
    return undefined;
  } finally {
    close(fd);
  }
}
