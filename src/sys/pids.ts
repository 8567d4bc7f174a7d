/** Process ids across pid namespaces. */
import { readdirSync, readFileSync } from 'node:fs';
import { E } from './errno.js';
import { Fd } from './fd.js';
import { ioctl, O_CLOEXEC, O_RDONLY, open } from './libc.js';
import { ProcDir } from './proc-dir.js';
import { namespaceInode } from './task.js';

const NS_GET_PID_FROM_PIDNS = 0x8004b706;

/** The pid, as seen from this process, of the task that `task` calls `pid`; 0 if there is none. */
export function hostPid(task: ProcDir, pid: number): number {
  if (pid === 0 || pid > 0x7fffffff) return 0;
  const theirs = task.namespaceInode('pid');
  if (theirs === 0) return 0;
  if (theirs === namespaceInode('self', 'pid')) return pid;
  using ns = task.open('ns/pid', O_RDONLY | O_CLOEXEC);
  if (!ns.isOpen) return 0;
  const translated = ioctl(ns.number, NS_GET_PID_FROM_PIDNS, pid); // since 6.11
  return translated > 0 ? translated : findByStatus(theirs, pid);
}

/** Whether the kernel translates pids itself (6.11): 1, 0 or -errno. */
export function hasPidTranslation(): number {
  using ns = new Fd(open('/proc/self/ns/pid', O_RDONLY | O_CLOEXEC));
  if (!ns.isOpen) return ns.number;
  const translated = ioctl(ns.number, NS_GET_PID_FROM_PIDNS, process.pid);
  return translated === process.pid ? 1 : translated === -E.ENOTTY ? 0 : translated;
}

/**
 * The pid that the process `pid`, as seen from this process, has in the pid namespace of `task`; 0
 * if it is not visible there.
 */
export function guestPid(task: ProcDir, pid: number): number {
  const depth = task.pidChain().length;
  if (depth === 0) return 0;
  using process = new ProcDir(pid);
  const candidate = process.pidChain()[depth - 1];
  if (candidate === undefined) return 0;
  return hostPid(task, candidate) === pid ? candidate : 0;
}

/**
 * Names a process, and no later one with the same pid: the pid and when it started (in clock ticks since boot).
 * '' if there is none, or only a zombie.
 */
export function processIdentity(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc_pid_stat(5): what stands behind the name, which may itself have brackets, begins with field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = 'X', startTime = ''] = [fields[0], fields[19]];
    return state === 'Z' || state === 'X' ? '' : `${pid}:${startTime}`;
  } catch {
    return '';
  }
}

function findByStatus(pidNs: number, wanted: number): number {
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    using process = new ProcDir(pid);
    if (process.pidChain().at(-1) === wanted && process.namespaceInode('pid') === pidNs) return pid;
  }
  return 0;
}
