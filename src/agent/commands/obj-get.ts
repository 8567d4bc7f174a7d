/** BPF_OBJ_GET: opens a pin as the caller would, unless the object belongs elsewhere. */
import { hostId, type Kind } from '../../model/ids.js';
import { getInfoByFd, kindOfFd } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { bpf_attr } from '../../sys/kernel.gen.js';
import { close } from '../../sys/libc.js';
import { readPointer } from '../../sys/seccomp.js';
import type { Call, Reply } from '../call.js';
import type { Context } from './context.js';

const PATH_MAX = 4096;
const PAGE = 4096;
const BPF_F_RDONLY = 1 << 3;
const BPF_F_WRONLY = 1 << 4;
const BPF_F_PATH_FD = 1 << 14;
const END = bpf_attr.path_fd + 4;
const info = Buffer.alloc(16);

/** Order of checks as in bpf_obj_get() and bpf_obj_get_user() (kernel/bpf/syscall.c, inode.c). */
export function objGet(call: Call, { paths, mirror, facts }: Context): Reply | Promise<Reply> {
  const flags = call.attr.readUInt32LE(bpf_attr.file_flags);
  const end = facts.hasPathFd ? END : bpf_attr.path_fd;
  if (call.hasUnknownBits(end) || call.attr.readUInt32LE(bpf_attr.bpf_fd) !== 0) return -E.EINVAL;
  const knownFlags = BPF_F_RDONLY | BPF_F_WRONLY | (facts.hasPathFd ? BPF_F_PATH_FD : 0);
  if ((flags & ~knownFlags) !== 0) return -E.EINVAL;
  const usesPathFd = (flags & BPF_F_PATH_FD) !== 0;
  if (!usesPathFd && call.attr.readInt32LE(bpf_attr.path_fd) !== 0) return -E.EINVAL;
  if ((flags & BPF_F_RDONLY) !== 0 && (flags & BPF_F_WRONLY) !== 0) return -E.EINVAL;
  const path = readPath(call, readPointer(call.attr, bpf_attr.pathname));
  if (typeof path === 'number') return path;
  const { namespace } = call;
  const request = {
    tid: call.tid,
    path,
    flags: flags & ~BPF_F_PATH_FD,
    pathFd: usesPathFd ? call.attr.readInt32LE(bpf_attr.path_fd) : undefined,
    capabilities: call.initCapabilities,
  };
  return paths.openPin(namespace.id, request).then((fd): Reply => {
    if (fd < 0) return fd;
    mirror.update();
    const kind = kindOfFd(fd);
    const isVisible =
      namespace.spec.pinsAny ||
      (kind !== undefined && kind !== 'token' && mirror.model.idIn(namespace, kind, hostId(idOf(fd, kind))) !== 0);
    if (isVisible) return { fd };
    close(fd);
    return -E.EPERM;
  });
}

/** The host id behind one of our own fds. All four info structures are read alike up to here. */
function idOf(fd: number, kind: Kind): number {
  const btfInfo = Buffer.alloc(32);
  const buffer = kind === 'btf' ? btfInfo : info;
  if (getInfoByFd(fd, buffer, buffer.length) < 0) return 0;
  return buffer.readUInt32LE(kind === 'btf' ? 12 : 4);
}

/** A string of the caller's memory: read page by page, as it may end just before an unmapped one. */
function readPath(call: Call, address: number): Buffer | number {
  if (address <= 0) return -E.EFAULT;
  const path = Buffer.alloc(PATH_MAX);
  const chunk = Buffer.alloc(PAGE);
  for (let done = 0; done < PATH_MAX; ) {
    const length = Math.min(PAGE - ((address + done) % PAGE), PATH_MAX - done);
    if (!call.read(address + done, chunk, length)) return -E.EFAULT;
    chunk.copy(path, done, 0, length);
    done += length;
    const end = path.indexOf(0);
    if (end >= 0 && end < done) return end === 0 ? -E.ENOENT : Buffer.from(path.subarray(0, end));
  }
  return -E.ENAMETOOLONG;
}
