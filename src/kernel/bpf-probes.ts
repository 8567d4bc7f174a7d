/** Probes of the BPF features that the recorder uses. */
import { existsSync, readFileSync } from 'node:fs';
import { Code } from '../program/code.js';
import { instruction, Op } from '../program/instruction.js';
import { depthsIn } from '../program/stack.js';
import { architecture } from '../sys/architecture.js';
import { bpf } from '../sys/bpf.js';
import { Btf, BtfKind } from '../sys/btf.js';
import { E, SyscallError } from '../sys/errno.js';
import { bpf_attr, bpf_cmd, bpf_map_type, bpf_prog_type } from '../sys/kernel.gen.js';
import { kprobesKeepUp } from '../sys/kprobes.js';
import { type Attached, BpfObject, hasHelper, hasMapType, hasProgramType } from '../sys/libbpf.js';
import { addressOf, close } from '../sys/libc.js';
import { lsmOfBpf } from '../sys/lsm.js';
import { bpfObjectPath } from '../sys/object-path.js';
import { CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, effectiveCapabilities } from '../sys/task.js';
import { openTracepoint } from '../sys/tracepoint.js';
import { type Answer, fromVerdict, no, refused, unknown, yes } from './answer.js';

const BPF_FUNC_task_storage_get = 156;
const BPF_FUNC_loop = 181;
/** Of log_level: statistics alone. */
const BPF_LOG_STATS = 4;
const LOG_SIZE = 4096;

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

/** Loads a program of two instructions, one of which uses the stack. */
export function probeStackStatistics(): Answer {
  return asPrivileged(() => {
    const store = instruction(Op.storeLongImm, { dst: 10, off: -8 });
    const code = Buffer.from(Code.of([store, instruction(Op.moveImm), instruction(Op.exit)]).bytes);
    const license = Buffer.from('GPL\0');
    const log = Buffer.alloc(LOG_SIZE);
    const attr = Buffer.alloc(bpf_attr.sizeof);
    attr.writeUInt32LE(bpf_prog_type.BPF_PROG_TYPE_TRACEPOINT, bpf_attr.prog_type);
    attr.writeUInt32LE(code.length / 8, bpf_attr.insn_cnt);
    attr.writeUInt32LE(BPF_LOG_STATS, bpf_attr.log_level);
    attr.writeUInt32LE(LOG_SIZE, bpf_attr.log_size);
    attr.writeBigUInt64LE(addressOf(code), bpf_attr.insns);
    attr.writeBigUInt64LE(addressOf(license), bpf_attr.license);
    attr.writeBigUInt64LE(addressOf(log), bpf_attr.log_buf);
    const fd = bpf(bpf_cmd.BPF_PROG_LOAD, attr, bpf_attr.log_buf + 8);
    if (fd < 0) return judge(new SyscallError(-fd, 'bpf', 'cannot load a program'));
    close(fd);
    const text = log.toString('latin1', 0, log.indexOf(0));
    return depthsIn(text)?.join() === '8' ? yes : no('the log has another form');
  });
}

export function probeVmlinuxBtf(): Answer {
  const path = '/sys/kernel/btf/vmlinux';
  if (!existsSync(path)) return existsSync('/sys/kernel') ? no(`no ${path}`) : unknown('sysfs is not mounted');
  try {
    return new Btf(readFileSync(path)).find(BtfKind.struct, 'task_struct') ? yes : no('it lacks struct task_struct');
  } catch (error) {
    return unknown(error instanceof Error ? error.message : String(error));
  }
}

/** Tries a program that may sleep with a map whose elements are allocated when they are needed. */
export function probeSleepableMaps(): Answer {
  return tryProgram('service', () => undefined);
}

export function probeFunctionHooks(): Answer {
  const entry = tryProgram('function_enter', attachAsDeclared);
  return entry.answer === 'yes' ? tryProgram('function_exit', attachAsDeclared) : entry;
}

/** Also asks for the way in which Linux 6.14 and later keep the state of a return. */
export function probeKprobes(): Answer {
  const answer = tryProgram('function_return', (object, name) =>
    object.attachKprobe(name, architecture.bpfFunction, 'return'),
  );
  if (answer.answer !== 'yes' || kprobesKeepUp()) return answer;
  return no('the number of tasks that may be in the function is limited');
}

export function probeSyscallTracepoint(): Answer {
  return tryProgram('syscall_tracepoint', (object, name) =>
    // Like the recorder, which does not need tracefs to be mounted.
    object.attachPerfEvent(name, openTracepoint('syscalls', 'sys_exit_bpf')),
  );
}

export function probeForkTracepoint(): Answer {
  return tryProgram('fork_tracepoint', attachAsDeclared);
}

/** Before 6.8 the kernel does not tell whether the hook runs. */
export function probeForkLsm(): Answer {
  const found = lsmOfBpf();
  if (found === 'unknown') return no('the kernel does not list its security modules');
  return found === 'off' ? refused("the kernel's list lsm= lacks bpf") : tryProgram('fork_lsm', attachAsDeclared);
}

const programs = [
  'function_enter',
  'function_exit',
  'function_return',
  'syscall_tracepoint',
  'fork_tracepoint',
  'fork_lsm',
  'service',
] as const;
type Program = (typeof programs)[number];

function attachAsDeclared(object: BpfObject, name: Program): Attached {
  return object.attach(name);
}

/** Loads and attaches a program that does nothing, and detaches it. */
function tryProgram(name: Program, attach: (object: BpfObject, name: Program) => Attached | undefined): Answer {
  return asPrivileged(() => {
    const object = new BpfObject(bpfObjectPath('probe'));
    try {
      for (const other of programs) if (other !== name) object.skip(other);
      if (name === 'function_enter' || name === 'function_exit') object.target(name, architecture.bpfFunction);
      object.load();
      attach(object, name)?.close();
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
