/**
 * perf_event_open(2) of a uprobe in a namespace with tracing=own. The agent opens the file as the caller
 * would, and hands the kernel that open file: a path could lead elsewhere by then. Breakpoints go only where
 * they cannot hurt others who run the same file (uprobe-rules.ts).
 */
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { perf_event_attr } from '../../../sys/kernel.gen.js';
import { ProcDir } from '../../../sys/proc-dir.js';
import { readPointer } from '../../../sys/seccomp.js';
import { CAP_KILL, sendSignal } from '../../../sys/task.js';
import { PERF_ATTR_DISABLED, PERF_ATTR_FLAGS } from '../../../sys/tracepoint.js';
import { REF_CTR_SHIFT, RETURN_PROBE, uprobeType } from '../../../sys/uprobe.js';
import type { Call, Reply } from '../../call.js';
import type { Services } from '../../services.js';
import { openOwnProcess } from '../own-process.js';
import { readPath } from '../pins/guest-path.js';
import type { Probe } from '../pins/path-request.js';
import { refuse } from './policy.js';

const a = perf_event_attr;

/** Whether the event is one. */
export const isUprobe = (attr: Buffer): boolean => attr.readUInt32LE(a.type) === uprobeType();

export async function uprobe(call: Call, services: Services, command: string): Promise<Reply> {
  const { attr, caller, notification, namespace } = call;
  const probe = probeOf(attr);
  if (!probe) return refuse(call, services, command, 'a kind of uprobe that is not known', E.EACCES);
  const path = readPath(call, readPointer(attr, a.uprobe_path));
  if (typeof path === 'number') return path;
  const number = notification.argument(1) | 0;
  const cpu = notification.argument(2) | 0;
  if (number < -1) return -E.ESRCH;
  if (number === -1 && cpu < 0) return -E.EINVAL;
  const process = number > 0 ? openOwnProcess(call, services.mirror, number) : undefined;
  using pidfd = process?.pidfd;
  if (number > 0 && !process) return -E.ESRCH;
  const request = {
    directory: caller.directory.number,
    thread: caller.thread.number,
    path,
    pathFd: undefined,
    capabilities: call.initCapabilities,
    probe,
    type: attr.readUInt32LE(a.type),
    isDisabled: (attr.readUInt32LE(PERF_ATTR_FLAGS) & PERF_ATTR_DISABLED) !== 0,
    // By its number; it is the caller's if the caller still waits afterwards.
    pid: number === 0 ? caller.hint : (process?.pid ?? -1),
    pidfd: number === 0 ? caller.thread.number : (pidfd?.number ?? -1),
    mayKill: number === 0 || (process !== undefined && mayKill(call, process.pid)),
    cpu,
  };
  const { result, refusal } = await services.paths.openUprobe(namespace, request);
  if (refusal !== '') return refuse(call, services, command, refusal, -result);
  const event = caller.openByNumber(() => new Fd(result));
  // As long as it has not been waited for, its number was its own all the time.
  if (!pidfd || sendSignal(pidfd, 0) !== -E.ESRCH) return event;
  event.close();
  return -E.ESRCH;
}

/** By the rules of kill(2), but that all uids must be the caller's. */
function mayKill({ caller, initCapabilities }: Call, pid: number): boolean {
  if ((initCapabilities & CAP_KILL) !== 0n) return true;
  using target = new ProcDir(pid);
  const uids = target.userIds();
  const own = caller.directory.userId();
  return uids.length > 0 && uids.every((uid) => uid === own);
}

function probeOf(attr: Buffer): Probe | undefined {
  const config = attr.readBigUInt64LE(a.config);
  const semaphore = Number(config >> REF_CTR_SHIFT);
  const kind = config & ((1n << REF_CTR_SHIFT) - 1n);
  const offset = Number(attr.readBigUInt64LE(a.probe_offset));
  if ((kind & ~RETURN_PROBE) !== 0n || !Number.isSafeInteger(offset)) return undefined;
  return { offset, semaphore, isReturn: kind === RETURN_PROBE };
}
