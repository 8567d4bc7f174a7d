/** BPF_{PROG,MAP,LINK,BTF}_GET_FD_BY_ID: opens the object by its host id and puts the fd into the caller. */
import type { Kind } from '../../model/ids.js';
import { getFdById as openById } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { Fd } from '../../sys/fd.js';
import { bpf_attr } from '../../sys/kernel.gen.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';

const BPF_F_RDONLY = 1 << 3;
const BPF_F_WRONLY = 1 << 4;
const BPF_F_TOKEN_FD = 1 << 16;

/** Order of checks as in bpf_{prog,map,link,btf}_get_fd_by_id() (kernel/bpf/syscall.c). */
export function getFdById(call: Call, { mirror, facts }: Services, kind: Kind): Reply {
  const id = call.attr.readUInt32LE(bpf_attr.start_id);
  const flags = call.attr.readUInt32LE(bpf_attr.open_flags);
  const takesToken = kind === 'btf' && facts.hasBtfToken;
  const end = kind === 'map' ? bpf_attr.open_flags + 4 : takesToken ? bpf_attr.fd_by_id_token_fd + 4 : bpf_attr.next_id;
  const knownFlags = kind === 'map' ? BPF_F_RDONLY | BPF_F_WRONLY : takesToken ? BPF_F_TOKEN_FD : 0;
  if (call.hasUnknownBits(end)) return -E.EINVAL;
  if (end > bpf_attr.open_flags && (flags & ~knownFlags) !== 0) return -E.EINVAL;
  if (takesToken && (flags & BPF_F_TOKEN_FD) !== 0) {
    // A token could only add rights, and the namespace requires none but CAP_BPF.
    using token = call.caller.takeFd(call.attr.readInt32LE(bpf_attr.fd_by_id_token_fd));
    if (!token.isOpen) return -E.EBADF;
  }
  if (!call.mayUseIds) return -E.EPERM;
  if (kind === 'map' && flags === (BPF_F_RDONLY | BPF_F_WRONLY)) return -E.EINVAL;

  const host = mirror.resolve(call.namespace, kind, id);
  if (host === undefined) return -E.ENOENT;
  const open = (): number => openById(kind, host, kind === 'map' ? flags : 0);
  // The opener's CAP_SYSLOG matters only for what a program's fd shows, and perhaps a link's.
  const fd = new Fd(kind === 'prog' || kind === 'link' ? call.asAgent(open) : open());
  if (fd.isOpen) return fd;
  if (fd.number === -E.ENOENT) mirror.forget(kind, host);
  // bpftool stops its listing at any other error. A link that is not settled gives EAGAIN, as in
  // the kernel.
  return fd.number === -E.EAGAIN ? -E.EAGAIN : -E.ENOENT;
}
