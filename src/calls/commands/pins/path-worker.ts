/** A worker thread of path-resolver.ts. It takes the caller's view for one request, and then its own again. */
import { parentPort } from 'node:worker_threads';
import { getInfoByFd, objGet } from '../../../sys/bpf.js';
import { E, Refusal } from '../../../sys/errno.js';
import { actAs } from '../../../sys/fs-identity.js';
import { bpf_link_info } from '../../../sys/kernel.gen.js';
import { addressOf, fchdir, O_CLOEXEC, O_DIRECTORY, O_PATH } from '../../../sys/libc.js';
import { openIn } from '../../../sys/proc-dir.js';
import { openUprobe } from '../tracing/open-uprobe.js';
import { lookUp, ownView } from './caller-view.js';
import type { OpenPinRequest, PathAnswer, PathRequest, SeenPath, SeePathRequest } from './path-request.js';

/** Opens it through its fd. The path is not resolved again, so nobody can replace a part of it in between. */
function openPin(request: OpenPinRequest): number {
  return lookUp(request, (found, ownFds) => {
    const moved = fchdir(ownFds);
    return moved < 0 ? moved : objGet(String(found), request.flags);
  });
}

/** The kernel makes the path for the root directory of the thread that asks. */
function seePath({ directory, link, room }: SeePathRequest): SeenPath {
  using theirs = openIn(directory, 'root', O_PATH | O_DIRECTORY | O_CLOEXEC);
  const root = theirs.number;
  const info = Buffer.alloc(bpf_link_info.sizeof);
  const path = Buffer.alloc(room);
  if (room > 0) info.writeBigUInt64LE(addressOf(path), bpf_link_info.uprobe_multi_path);
  info.writeUInt32LE(room, bpf_link_info.uprobe_multi_path_size);
  const result =
    root < 0 ? -E.ESRCH : actAs(ownView, { ...ownView, root, cwd: root }, () => getInfoByFd(link, info, info.length));
  const size = info.readUInt32LE(bpf_link_info.uprobe_multi_path_size);
  return { result: Math.min(result, 0), path: path.subarray(0, size), size };
}

/** @returns -ENOMEM if no descriptor is left */
function answer(request: PathRequest): PathAnswer {
  try {
    if ('link' in request) return seePath(request);
    return 'probe' in request ? openUprobe(request) : openPin(request);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const result = -error.errno;
    if ('link' in request) return { result, path: Buffer.alloc(0), size: 0 };
    return 'probe' in request ? { result, refusal: '' } : result;
  }
}

parentPort?.on('message', (request: PathRequest) => {
  parentPort?.postMessage(answer(request));
});
