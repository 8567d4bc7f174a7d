/** BPF_OBJ_GET: opens a pin with the caller's view and rights, unless the object is not visible to the caller. */
import { hostId } from '../../../model/ids.js';
import { bpf, idOfFd, kindOfFd } from '../../../sys/bpf.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { bpf_attr, bpf_cmd } from '../../../sys/kernel.gen.js';
import { readPointer } from '../../../sys/seccomp.js';
import type { Call, Reply } from '../../call.js';
import type { Services } from '../../services.js';
import { readPath } from './guest-path.js';

const BPF_F_PATH_FD = 1 << 14;

export function objGet(call: Call, { paths, mirror }: Services): Reply | Promise<Reply> {
  const flags = call.attr.readUInt32LE(bpf_attr.file_flags);
  const refusal = refusedForm(call);
  if (refusal !== 0) return refusal;
  const usesPathFd = (flags & BPF_F_PATH_FD) !== 0;
  const path = readPath(call, readPointer(call.attr, bpf_attr.pathname));
  if (typeof path === 'number') return path;
  const { namespace } = call;
  const request = {
    directory: call.caller.directory.number,
    thread: call.caller.thread.number,
    path,
    flags: (flags & ~BPF_F_PATH_FD) >>> 0,
    pathFd: usesPathFd ? call.attr.readInt32LE(bpf_attr.path_fd) : undefined,
    capabilities: call.initCapabilities,
  };
  return paths.openPin(namespace, request).then((result): Reply => {
    using fd = new Fd(result);
    if (!fd.isOpen) return fd.number;
    mirror.update();
    const kind = kindOfFd(fd.number);
    const isVisible =
      namespace.spec.pinsAny ||
      (kind !== undefined && kind !== 'token' && call.idIn(kind, hostId(idOfFd(fd.number, kind))) !== 0);
    return isVisible ? new Fd(fd.release()) : -E.EPERM;
  });
}

/**
 * The kernel's error for fields and flags, which it checks before the path. Without a path it gets
 * to EFAULT only if it refuses nothing else.
 */
function refusedForm(call: Call): number {
  const form = Buffer.from(call.attr);
  form.writeBigUInt64LE(0n, bpf_attr.pathname);
  const result = bpf(bpf_cmd.BPF_OBJ_GET, form, call.size);
  return result === -E.EFAULT ? 0 : result;
}
