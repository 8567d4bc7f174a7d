/** Process ids across pid namespaces. */
import { readdirSync, readFileSync } from 'node:fs';
import { E } from './errno.js';
import { close, ioctlValue, O_CLOEXEC, O_RDONLY, open } from './libc.js';
import { namespaceInode } from './task.js';

const NS_GET_PID_FROM_PIDNS = 0x8004b706;

/** The pid, as seen from here, of what thread `tid` calls `pid`; 0 if there is no such task. */
export function hostPid(tid: number, pid: number): number {
  if (pid === 0 || pid > 0x7fffffff) return 0;
  const theirs = namespaceInode(tid, 'pid');
  if (theirs === 0) return 0;
  if (theirs === namespaceInode('self', 'pid')) return pid;
  const ns = open(`/proc/${tid}/ns/pid`, O_RDONLY | O_CLOEXEC);
  if (ns < 0) return 0;
  const translated = ioctlValue(ns, NS_GET_PID_FROM_PIDNS, pid); // 6.11
  close(ns);
  return translated > 0 ? translated : findByStatus(theirs, pid);
}

/** Whether the kernel translates pids by itself (6.11): 1, 0 or -errno. */
export function hasPidTranslation(): number {
  const ns = open('/proc/self/ns/pid', O_RDONLY | O_CLOEXEC);
  if (ns < 0) return ns;
  const translated = ioctlValue(ns, NS_GET_PID_FROM_PIDNS, process.pid);
  close(ns);
  return translated === process.pid ? 1 : translated === -E.ENOTTY ? 0 : translated;
}

/** What a process is called in the pid namespace of thread `tid`; 0 if it is not visible there. */
export function guestPid(tid: number, pid: number): number {
  const depth = pidChain(tid).length;
  if (depth === 0) return 0;
  const chain = pidChain(pid);
  const candidate = chain[depth - 1];
  if (candidate === undefined) return 0;
  return hostPid(tid, candidate) === pid ? candidate : 0;
}

/** A process's id in every pid namespace it is in, outermost first. */
function pidChain(pid: number): number[] {
  try {
    const line = /^NSpid:\s+(.+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
    return line.split(/\s+/).map(Number);
  } catch {
    return [];
  }
}

function findByStatus(pidNs: number, wanted: number): number {
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    if (pidChain(pid).at(-1) === wanted && namespaceInode(pid, 'pid') === pidNs) return pid;
  }
  return 0;
}
