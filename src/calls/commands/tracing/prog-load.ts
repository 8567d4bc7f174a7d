/**
 * BPF_PROG_LOAD in a namespace that may not trace it all. A tracing program is loaded by the agent,
 * from a copy that the guest cannot exchange. The kernel loads all others itself: a guest of
 * tracing=own or none has no CAP_PERFMON, so that the kernel refuses a tracing type that is put
 * there after this look. In `filtered` the guest has it, and the mode is no wall.
 */

import { statSync } from 'node:fs';
import type { NamespaceId } from '../../../model/ids.js';
import { isTracingType, TracingType } from '../../../program/check.js';
import { encodeCreator } from '../../../recorder/records.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { bpf_attr, bpf_cmd } from '../../../sys/kernel.gen.js';
import { pidChainOf } from '../../../sys/proc-dir.js';
import { readPointer } from '../../../sys/seccomp.js';
import type { Call, Reply } from '../../call.js';
import type { Services } from '../../services.js';
import { ownerOf } from '../../source.js';
import type { LoadRequest } from './load-request.js';
import { HAS_PRIVILEGE, mayLoadPrograms, mayTraceAll, refuse } from './policy.js';

const COMMAND = 'PROG_LOAD';
const a = bpf_attr;
/** Behind it are signatures, which are of the program as it was. */
const END = a.fd_array_cnt + 4;
/** What a privileged program may have (BPF_COMPLEXITY_LIMIT_INSNS). */
const MAX_INSTRUCTIONS = 1_000_000;
const MAX_RECORD = 252;
/** Of all records together: more than a program of the largest size brings along. They are copied on the loop. */
const MAX_RECORDS = 24 * 1024 * 1024;
const LICENSE_ROOM = 128;
/** What the kernel takes (UINT_MAX >> 2), and what we keep room for: libbpf asks for less. */
const MAX_LOG = 0x3fffffff;
const LOG_ROOM = 16 * 1024 * 1024;
/** Indexes of the fd_array that are looked at. */
const MAX_ARRAY = 1024;
/** STRICT_ALIGNMENT, ANY_ALIGNMENT, TEST_RND_HI32, TEST_STATE_FREQ, SLEEPABLE, TEST_REG_INVARIANTS. */
const KNOWN_FLAGS = 0x9f;

/** Types whose programs run in a task: `filtered` can do something for them. */
const filterable: readonly number[] = [
  TracingType.kprobe,
  TracingType.tracepoint,
  TracingType.perfEvent,
  TracingType.rawTracepoint,
];

export function progLoad(call: Call, services: Services): Reply | Promise<Reply> {
  const { tracing } = call.namespace.spec;
  const type = call.attr.readUInt32LE(a.prog_type);
  if (tracing === 'host') return 'continue';
  if (tracing === 'filtered') {
    // The kernel says what the caller lacks.
    return filterable.includes(type) && mayTraceAll(call) && mayLoadPrograms(call)
      ? loadForGuest(call, services, 'filtered')
      : 'continue';
  }
  if (mayTraceAll(call)) return refuse(call, services, COMMAND, HAS_PRIVILEGE);
  if (!isTracingType(type)) return 'continue';
  if (tracing === 'none') return refuse(call, services, COMMAND, 'tracing=none');
  return mayLoadPrograms(call) ? loadForGuest(call, services, 'own') : -E.EPERM;
}

function loadForGuest(call: Call, services: Services, mode: LoadRequest['mode']): Reply | Promise<Reply> {
  // A flag of 7.x puts the log elsewhere; loaders then do without the flag.
  if (call.notification.argument(0) !== bpf_cmd.BPF_PROG_LOAD) return -E.EINVAL;
  const attr = Buffer.from(call.attr.subarray(0, a.sizeof));
  const problem = problemOf(call, attr);
  if (problem < 0) return problem;
  const { caller } = call;
  // Opened while the thread id is known to be the caller's.
  const thread = caller.thread.number;
  const status = caller.directory.status();
  const pidLevel = Math.max(pidChainOf(status).length - 1, 0);
  nsfs ??= statSync('/proc/self/ns/pid').dev;
  const pidNamespace = { device: nsfs, inode: caller.directory.namespaceInode('pid') };
  const creator = creatorOf(status, call.namespace.id);
  const size = Math.min(call.size, attr.length);
  return services.programs
    .load(call.namespace.top.id, () =>
      services.programs.memory.isFull(call.namespace, services.mirror)
        ? refuse(call, services, COMMAND, 'the programs of this namespace use all the memory they may', E.ENOMEM)
        : readProgram(call, services, { attr, size, mode, thread, pidLevel, pidNamespace, creator }),
    )
    .then((answer): Reply => {
      using fd = new Fd(answer.result);
      services.mirror.update();
      if (fd.isOpen) services.programs.memory.count(call.namespace, fd.number);
      if (answer.refusal !== '') refuse(call, services, COMMAND, answer.refusal);
      const log = Buffer.from(answer.log);
      const hasRoom = size >= a.log_true_size + 4;
      if (!call.write(readPointer(attr, a.log_buf), log, log.length)) return -E.EFAULT;
      if (hasRoom && !call.writeAttr(a.log_true_size, answer.logTrueSize)) return -E.EFAULT;
      return new Fd(fd.release());
    });
}

/** What the kernel refuses before it reads the program, in its order. */
function problemOf(call: Call, attr: Buffer): number {
  const flags = attr.readUInt32LE(a.prog_flags);
  const count = attr.readUInt32LE(a.insn_cnt);
  const logSize = attr.readUInt32LE(a.log_size);
  if (call.hasUnknownBits(END) || (flags & ~KNOWN_FLAGS) !== 0) return -E.EINVAL;
  if (count === 0 || count > MAX_INSTRUCTIONS) return -E.E2BIG;
  if (attr.readUInt32LE(a.prog_ifindex) !== 0 || attr.readUInt32LE(a.attach_prog_fd) !== 0) return -E.EINVAL;
  if (logSize > MAX_LOG) return -E.EINVAL;
  const parts = [
    [a.func_info_cnt, a.func_info_rec_size],
    [a.line_info_cnt, a.line_info_rec_size],
    [a.core_relo_cnt, a.core_relo_rec_size],
  ] as const;
  let all = 0;
  for (const [countAt, sizeAt] of parts) {
    const records = attr.readUInt32LE(countAt);
    const size = attr.readUInt32LE(sizeAt);
    if (records === 0) continue;
    // One for each instruction is the most that makes sense to the kernel.
    if (records > count || size < 8 || size > MAX_RECORD || size % 4 !== 0) return -E.EINVAL;
    all += records * size;
    if (all > MAX_RECORDS) return -E.E2BIG;
  }
  return attr.readUInt32LE(a.fd_array_cnt) > MAX_ARRAY ? -E.EINVAL : 0;
}

/** Copies all that attr points to. -errno if it cannot be read. @throws CallerGone */
function readProgram(
  call: Call,
  { mirror }: Services,
  {
    attr,
    ...rest
  }: Pick<LoadRequest, 'size' | 'mode' | 'thread' | 'pidLevel' | 'pidNamespace' | 'creator'> & {
    readonly attr: Buffer;
  },
): LoadRequest | number {
  const { caller, namespace } = call;
  const read = (pointerAt: number, length: number): Buffer | undefined => {
    const bytes = Buffer.alloc(length);
    return call.read(readPointer(attr, pointerAt), bytes, length) ? bytes : undefined;
  };
  const records = (pointerAt: number, countAt: number, sizeAt: number): Buffer | undefined =>
    read(pointerAt, attr.readUInt32LE(countAt) * attr.readUInt32LE(sizeAt));
  const code = read(a.insns, attr.readUInt32LE(a.insn_cnt) * 8);
  const functions = records(a.func_info, a.func_info_cnt, a.func_info_rec_size);
  const lines = records(a.line_info, a.line_info_cnt, a.line_info_rec_size);
  const relocations = records(a.core_relos, a.core_relo_cnt, a.core_relo_rec_size);
  const license = Buffer.alloc(LICENSE_ROOM);
  const licenseLength = caller.read(readPointer(attr, a.license), license, LICENSE_ROOM - 1);
  if (!code || !functions || !lines || !relocations || licenseLength <= 0) return -E.EFAULT;
  const arrayAt = readPointer(attr, a.fd_array);
  const fdArray = Buffer.alloc(arrayAt === 0 ? 0 : MAX_ARRAY * 4);
  const arrayLength = caller.read(arrayAt, fdArray, fdArray.length);
  if (arrayLength < attr.readUInt32LE(a.fd_array_cnt) * 4) return -E.EFAULT;
  const hasLog = readPointer(attr, a.log_buf) !== 0;
  return {
    ...rest,
    attr,
    code,
    license,
    functions,
    lines,
    relocations,
    fdArray: fdArray.subarray(0, Math.floor(arrayLength / 4) * 4),
    logRoom: hasLog ? Math.min(attr.readUInt32LE(a.log_size), LOG_ROOM) : 0,
    tasks: mirror.recorder.mapFd('tasks'),
    namespaces: mirror.recorder.mapFd('namespaces'),
    actFor: mirror.recorder.actForFd,
    owner: ownerOf(namespace),
    namespace: namespace.id,
    level: namespace.level,
  };
}

/** The device of the files that stand for namespaces. */
let nsfs: number | undefined;

/** A line of /proc/PID/status. */
const fieldOf = (status: string, key: string): string =>
  new RegExp(`^${key}:\\s+(\\S.*)$`, 'm').exec(status)?.[1] ?? '';

/** Whose the program is: struct bpfns_creator. */
function creatorOf(status: string, namespace: NamespaceId): Buffer {
  const [, uid = ''] = fieldOf(status, 'Uid').split(/\s+/);
  return encodeCreator({
    namespace,
    pid: Number(fieldOf(status, 'Tgid')),
    tid: Number(fieldOf(status, 'Pid')),
    uid: Number(uid),
    comm: fieldOf(status, 'Name'),
  });
}
