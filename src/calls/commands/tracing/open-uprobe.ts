/** Opens the event of a uprobe, on a worker thread: the file may be slow, and so may the kernel. */
import { fstatSync, readSync, statfsSync } from 'node:fs';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { perf_event_attr } from '../../../sys/kernel.gen.js';
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  addressOf,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  openat,
  SYS,
  syscallFaccessat2,
  syscallPerfEventOpen,
  W_OK,
} from '../../../sys/libc.js';
import { NoElf, type Place, placeAt } from '../../../sys/probe-places.js';
import { sendSignal } from '../../../sys/task.js';
import { PERF_ATTR_DISABLED, PERF_ATTR_FLAGS, PERF_FLAG_FD_CLOEXEC } from '../../../sys/tracepoint.js';
import { keepsReturnsApart, PERF_FLAG_PID_CGROUP, REF_CTR_SHIFT, RETURN_PROBE } from '../../../sys/uprobe.js';
import { lookUp } from '../pins/caller-view.js';
import type { UprobeAnswer, UprobeRequest } from '../pins/path-request.js';
import { judge } from './uprobe-rules.js';

const a = perf_event_attr;
/** Up to probe_offset. */
const PERF_ATTR_SIZE_VER1 = 72;
const FUSE_SUPER_MAGIC = 0x65735546;
const OVERLAYFS_SUPER_MAGIC = 0x794c7630;

export function openUprobe(request: UprobeRequest): UprobeAnswer {
  const { probe, pid, cgroup, mayKill } = request;
  if (pid < 0 && cgroup < 0) return refused('a uprobe for all tasks: it needs perf_event in cgroup v2');
  let mayWrite = false;
  using file = new Fd(
    lookUp(request, (found, ownFds) => {
      if (!fstatSync(found).isFile()) return -E.EINVAL;
      mayWrite = syscallFaccessat2(SYS.faccessat2, found, '', W_OK, AT_EMPTY_PATH | AT_EACCESS) === 0;
      return openat(ownFds, String(found), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    }),
  );
  if (!file.isOpen) return { result: file.number, refusal: '' };
  const { type } = statfsSync(`/proc/self/fd/${file.number}`);
  // The kernel reads it while it holds a lock that all of tracing needs.
  if (type === FUSE_SUPER_MAGIC) return refused('a uprobe in a file of FUSE, whose server can keep the kernel waiting');
  try {
    const semaphore = judge(probe, {
      place: placeIn(file.number, probe.offset),
      isForAll: pid < 0,
      mayKill,
      // What is written there goes into a copy: the file that the kernel probes is the lower one, which others run.
      mayWrite: mayWrite && type !== OVERLAYFS_SUPER_MAGIC,
      keepsReturnsApart: probe.isReturn && keepsReturnsApart(),
    });
    return typeof semaphore === 'string'
      ? refused(semaphore)
      : { result: open(request, file.number, semaphore), refusal: '' };
  } catch (error) {
    if (error instanceof NoElf) return refused(`a uprobe in a file whose functions are not known: ${error.message}`);
    throw error;
  }
}

const refused = (refusal: string): UprobeAnswer => ({ result: -E.EACCES, refusal });

/** @throws NoElf */
function placeIn(file: number, offset: number): Place | undefined {
  return placeAt(offset, (into, length, at) => {
    try {
      return readSync(file, into, 0, length, at);
    } catch {
      throw new NoElf('it cannot be read');
    }
  });
}

/**
 * The file is named by its fd: nobody can put another one there. The task is named by its number, so it is looked
 * at last whether that is still its own: the kernel inserts the breakpoint at once, even if the event is disabled.
 */
function open(request: UprobeRequest, file: number, semaphore: number): number {
  const { probe, type, isDisabled, pid, pidfd, cpu, cgroup } = request;
  const path = Buffer.from(`/proc/self/fd/${file}\0`);
  const attr = Buffer.alloc(PERF_ATTR_SIZE_VER1);
  attr.writeUInt32LE(type, a.type);
  attr.writeUInt32LE(attr.length, a.size);
  attr.writeBigUInt64LE((BigInt(semaphore) << REF_CTR_SHIFT) | (probe.isReturn ? RETURN_PROBE : 0n), a.config);
  attr.writeUInt32LE(isDisabled ? PERF_ATTR_DISABLED : 0, PERF_ATTR_FLAGS);
  attr.writeBigUInt64LE(addressOf(path), a.uprobe_path);
  attr.writeBigUInt64LE(BigInt(probe.offset), a.probe_offset);
  // Of all tasks, the event itself counts those of an empty cgroup: programs on it run for all tasks all the same.
  const [target, flag] = pid < 0 ? [cgroup, PERF_FLAG_PID_CGROUP] : [pid, 0];
  if (pid >= 0 && sendSignal({ number: pidfd }, 0) === -E.ESRCH) return -E.ESRCH;
  return syscallPerfEventOpen(SYS.perf_event_open, attr, target, cpu, -1, PERF_FLAG_FD_CLOEXEC | flag);
}
