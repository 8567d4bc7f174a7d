/** Probes of the BPF features that the recorder uses. */
import { existsSync, readFileSync } from 'node:fs';
import { architecture } from '../sys/architecture.js';
import { Btf, BtfKind } from '../sys/btf.js';
import { E, SyscallError } from '../sys/errno.js';
import { bpf_map_type, bpf_prog_type } from '../sys/kernel.gen.js';
import { BpfObject, hasHelper, hasMapType, hasProgramType } from '../sys/libbpf.js';
import { bpfObjectPath } from '../sys/object-path.js';
import { CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, effectiveCapabilities } from '../sys/task.js';
import { openSyscallTracepoint } from '../sys/tracepoint.js';
import { type Answer, fromVerdict, no, refused, unknown, yes } from './answer.js';

const BPF_FUNC_task_storage_get = 156;
const BPF_FUNC_loop = 181;

/** Without the capability EPERM says nothing about the kernel. */
function asPrivileged(probe: () => Answer): Answer {
  const effective = effectiveCapabilities(0);
  const isPrivileged =
    (effective & CAP_SYS_ADMIN) !== 0n || ((effective & CAP_BPF) !== 0n && (effective & CAP_PERFMON) !== 0n);
  return isPrivileged ? probe() : unknown('needs CAP_BPF and CAP_PERFMON to be told');
}

export function probeRingBuffer(): Answer {
  return asPrivileged(() => fromVerdict(hasMapType(bpf_map_type.BPF_MAP_TYPE_RINGBUF)));
}

/** Tries the map, and its use by programs on a tracepoint, which a later release added. */
export function probeTaskStorage(): Answer {
  return asPrivileged(() => {
    const map = fromVerdict(hasMapType(bpf_map_type.BPF_MAP_TYPE_TASK_STORAGE));
    if (map.answer !== 'yes') return map;
    return fromVerdict(hasHelper(bpf_prog_type.BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_task_storage_get));
  });
}

export function probeLoop(): Answer {
  return asPrivileged(() => fromVerdict(hasHelper(bpf_prog_type.BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_loop)));
}

export function probeSyscallPrograms(): Answer {
  return asPrivileged(() => fromVerdict(hasProgramType(bpf_prog_type.BPF_PROG_TYPE_SYSCALL)));
}

export function probeVmlinuxBtf(): Answer {
  const path = '/sys/kernel/btf/vmlinux';
  if (!existsSync(path)) return existsSync('/sys/kernel') ? no(`no ${path}`) : unknown('sysfs is not mounted');
  try {
    new Btf(readFileSync(path)).find(BtfKind.struct, 'task_struct');
    return yes;
  } catch (error) {
    return unknown(error instanceof Error ? error.message : String(error));
  }
}

export function probeFunctionHooks(): Answer {
  const entry = tryHook('function_enter', architecture.bpfFunction);
  return entry.answer === 'yes' ? tryHook('function_exit', architecture.bpfFunction) : entry;
}

export function probeSyscallTracepoint(): Answer {
  return tryHook('syscall_tracepoint');
}

export function probeForkTracepoint(): Answer {
  return tryHook('fork_tracepoint');
}

const hooks = ['function_enter', 'function_exit', 'syscall_tracepoint', 'fork_tracepoint'] as const;

/** Loads and attaches a program that does nothing, and detaches it. */
function tryHook(name: (typeof hooks)[number], target?: string): Answer {
  return asPrivileged(() => {
    const object = new BpfObject(bpfObjectPath('probe'));
    try {
      for (const other of hooks) if (other !== name) object.skip(other);
      if (target) object.target(name, target);
      object.load();
      const isSyscall = name === 'syscall_tracepoint';
      // Like the recorder, which does not need tracefs to be mounted.
      (isSyscall ? object.attachPerfEvent(name, openSyscallTracepoint('sys_exit_bpf')) : object.attach(name)).close();
      return yes;
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      return judge(error);
    } finally {
      object.close();
    }
  });
}

function judge(error: SyscallError): Answer {
  if (error.errno === E.EPERM || error.errno === E.EACCES) return refused(`refused${byWhom()}`);
  const isMissing = [E.EINVAL, E.ENOENT, E.ESRCH, E.ENOTSUPP, E.EOPNOTSUPP, E.ENOSYS].includes(error.errno);
  return isMissing ? no(error.code) : unknown(error.message);
}

function byWhom(): string {
  try {
    const level = /\[(\w+)\]/.exec(readFileSync('/sys/kernel/security/lockdown', 'latin1'))?.[1] ?? 'none';
    return level === 'none' ? ' by an LSM' : ` by lockdown (${level})`;
  } catch {
    return ' by lockdown or an LSM (securityfs is not mounted)';
  }
}
