/** Probes of how the agent accesses its callers. */
import { readFileSync } from 'node:fs';
import { E, errnoName } from '../sys/errno.js';
import { processVmReadv } from '../sys/libc.js';
import { openContext, setOption } from '../sys/new-mount.js';
import { hasPidTranslation } from '../sys/pids.js';
import { getFd, hasKcmp, hasThreadPidfd, openProcess } from '../sys/task.js';
import { type Answer, fromVerdict, no, refused, unknown, yes } from './answer.js';

export function probeThreadPidfd(): Answer {
  return fromVerdict(hasThreadPidfd());
}

export function probeKcmp(): Answer {
  return fromVerdict(hasKcmp());
}

export function probePidTranslation(): Answer {
  return fromVerdict(hasPidTranslation());
}

/** Tries it on the parent process. Like a guest it is not a child of this process, which is what Yama checks. */
function onParent(attempt: (pid: number) => number, allowed: readonly number[]): Answer {
  if (process.ppid === 0) return unknown('there is no other process to try it on');
  const result = attempt(process.ppid);
  if (result >= 0 || allowed.includes(-result)) return yes;
  if (result === -E.ENOSYS) return no();
  if (result === -E.EPERM) return refused(`refused for process ${process.ppid}${yama()}`);
  return unknown(errnoName(-result));
}

export function probePidfdGetfd(): Answer {
  // The kernel checks the permission before the number.
  return onParent(
    (pid) => {
      using pidfd = openProcess(pid);
      using copy = getFd(pidfd, 0x7fffffff);
      return copy.number;
    },
    [E.EBADF],
  );
}

export function probeProcessMemory(): Answer {
  // The kernel checks the permission before the address.
  return onParent(
    (pid) => {
      const local = Buffer.alloc(16);
      const remote = Buffer.alloc(16);
      local.writeBigUInt64LE(8n, 8);
      remote.writeBigUInt64LE(8n, 8);
      return processVmReadv(pid, local, 1, remote, 1, 0);
    },
    [E.EFAULT],
  );
}

function yama(): string {
  try {
    const scope = readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'latin1').trim();
    return `: capabilities, or Yama (kernel.yama.ptrace_scope = ${scope})`;
  } catch {
    return ': capabilities are missing';
  }
}

export function probeCgroup2(): Answer {
  return isMounted('cgroup2', 'no cgroup2 is mounted');
}

export function probeBpffs(): Answer {
  return isListed('/proc/filesystems', /^nodev\s+bpf$/m) ? yes : no('the kernel has no bpffs');
}

/** Before 6.9 bpffs ignores options that it does not know. */
export function probeToken(): Answer {
  using context = openContext('bpf');
  const result = setOption(context, 'delegate_cmds', 'not_a_command');
  return fromVerdict(result === -E.EINVAL ? 1 : result);
}

function isMounted(type: string, otherwise: string): Answer {
  return isListed('/proc/self/mounts', new RegExp(`^\\S+ \\S+ ${type} `, 'm')) ? yes : no(otherwise);
}

function isListed(file: string, line: RegExp): boolean {
  return line.test(readFileSync(file, 'utf8'));
}
