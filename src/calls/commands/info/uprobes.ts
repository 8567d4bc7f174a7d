/**
 * Links of uprobes on many places (uprobe_multi, Linux 6.6). What the kernel shows of them depends
 * on who asks: the path begins at the root directory of the calling thread, and the process has its
 * number in the pid namespace of the calling thread.
 */
import { bpf_link_info, bpf_link_type } from '../../../sys/kernel.gen.js';
import { guestPid } from '../../../sys/pids.js';
import type { ProcDir } from '../../../sys/proc-dir.js';
import { isNull } from '../../../sys/seccomp.js';
import type { Call } from '../../call.js';
import type { Services } from '../../services.js';
import type { SeenPath } from '../pins/path-request.js';
import type { Request } from './shapes.js';

const l = bpf_link_info;
/** The longest path that the kernel shows, with the NUL. */
const PATH_MAX = 4096;

export function isOfUprobes(info: Buffer): boolean {
  return info.readUInt32LE(l.type) === bpf_link_type.BPF_LINK_TYPE_UPROBE_MULTI;
}

/** Has the kernel make the path as it makes it for the caller. `asked` is the caller's structure. */
export function seeAsCaller(call: Call, { paths }: Services, link: number, asked: Buffer): Promise<SeenPath> {
  const directory = call.caller.directory.number;
  return paths.seePath(call.namespace, { directory, link, room: roomIn(asked) });
}

/** The bytes that the caller has for the path; 0 if it asks for none, or not properly (EINVAL). */
function roomIn(asked: Buffer): number {
  return isNull(asked, l.uprobe_multi_path) ? 0 : Math.min(asked.readUInt32LE(l.uprobe_multi_path_size), PATH_MAX);
}

/** The requests, with room for the path as the agent sees it, which may be longer. */
export function withRoomForPath(requests: readonly Request[]): readonly Request[] {
  return requests.map((request) =>
    request.array.pointer === l.uprobe_multi_path && request.hasPointer && request.count > 0
      ? { ...request, count: PATH_MAX, room: PATH_MAX, buffer: Buffer.alloc(PATH_MAX) }
      : request,
  );
}

/** Puts what the caller sees into an answer that shows what the agent sees. */
export function showAsSeen(info: Buffer, requests: readonly Request[], { path, size }: SeenPath, task: ProcDir): void {
  info.writeUInt32LE(size, l.uprobe_multi_path_size);
  const pid = info.readUInt32LE(l.uprobe_multi_pid);
  if (pid !== 0) info.writeUInt32LE(guestPid(task, pid), l.uprobe_multi_pid);
  for (const { array, buffer } of requests) if (array.pointer === l.uprobe_multi_path) buffer.set(path);
}
