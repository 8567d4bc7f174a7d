/**
 * perf_event_open(2) in a namespace that may not trace it all. The agent opens the event, from a copy of
 * the attributes: a guest with CAP_BPF could let a program of its own run on any tracepoint that the kernel
 * counts for a process without privileges, so nothing is left to the kernel. What is handed over must show
 * nothing but through such a program: no samples and no counts of other tasks.
 */
import { MAX_STRUCT } from '../../../sys/bpf.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { perf_event_attr } from '../../../sys/kernel.gen.js';
import { SYS, syscallPerfEventOpen } from '../../../sys/libc.js';
import {
  PERF_ATTR_DISABLED,
  PERF_ATTR_FLAGS,
  PERF_FLAG_FD_CLOEXEC,
  PERF_TYPE_TRACEPOINT,
} from '../../../sys/tracepoint.js';
import { type Call, hasSetByte, type Reply } from '../../call.js';
import type { Services } from '../../services.js';
import type { Use } from './event-budget.js';
import { HAS_PRIVILEGE, mayLoadPrograms, mayTraceAll, refuse } from './policy.js';
import { isAllowedTracepoint } from './tracepoints.js';
import { isUprobe, uprobe } from './uprobe.js';

const COMMAND = 'perf_event_open';
const a = perf_event_attr;
const PERF_ATTR_SIZE_VER0 = 64;
const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_CPU_CLOCK = 0n;
const PERF_COUNT_SW_BPF_OUTPUT = 10n;
const FREQUENCY = 1 << 10;
const WATERMARK = 1 << 14;
const WRITE_BACKWARD = 1 << 27;
/** What a program puts into its buffer, and which of its own: RAW, TIME, CPU, PERIOD, ID, STREAM_ID, IDENTIFIER. */
const OUTPUT_SAMPLES = 0x400n | 0x4n | 0x80n | 0x100n | 0x40n | 0x200n | 0x10000n;
/** A timer interrupts whoever runs: at most so often for each event. */
const MAX_FREQUENCY = 10_000n;
const MIN_PERIOD = 100_000n;

/** As perf_copy_attr() (kernel/events/core.c). */
export function readPerfAttr(call: Call): Reply | undefined {
  const address = call.notification.pointer(0);
  const head = Buffer.alloc(8);
  if (call.caller.peek(address, head, head.length) < head.length) return -E.EFAULT;
  const size = head.readUInt32LE(a.size) || PERF_ATTR_SIZE_VER0;
  if (size < PERF_ATTR_SIZE_VER0 || size > MAX_STRUCT) return -E.E2BIG;
  if (call.readAttr(address, size) < size) return -E.EFAULT;
  if (hasSetByte(call.attr, a.sizeof, size)) return -E.E2BIG;
  call.size = size;
  return undefined;
}

export function perfEventOpen(call: Call, services: Services): Reply | Promise<Reply> {
  const { tracing } = call.namespace.spec;
  // In `filtered` the guest has CAP_PERFMON: events are the kernel's to allow.
  if (tracing === 'host' || tracing === 'filtered') return 'continue';
  if (mayTraceAll(call)) return refuse(call, services, COMMAND, HAS_PRIVILEGE);
  if (tracing === 'none') return refuse(call, services, COMMAND, 'tracing=none');
  if (!mayLoadPrograms(call)) return -E.EACCES;
  if (isInGroup(call)) return refuse(call, services, COMMAND, 'groups and cgroups of events', E.EACCES);
  if (isUprobe(call.attr)) return withinBudget(call, services, { of: 'memory' }, () => uprobe(call, services, COMMAND));
  const event = chooseEvent(call.attr);
  if (typeof event === 'string') return refuse(call, services, COMMAND, event, E.EACCES);
  return withinBudget(call, services, useOf(call, event.attr), () => open(call, event));
}

/**
 * Counts the event that is opened, unless that would be one too many. It is asked again afterwards:
 * events that are opened on other threads meanwhile count only when they are there.
 */
function withinBudget(
  call: Call,
  services: Services,
  use: Use,
  openEvent: () => Reply | Promise<Reply>,
): Reply | Promise<Reply> {
  const { events } = services.programs;
  const refused = (): Reply | undefined => {
    const excess = events.refusal(call.namespace, use);
    return excess === undefined ? undefined : refuse(call, services, COMMAND, excess, E.ENOSPC);
  };
  const counted = (reply: Reply): Reply => {
    if (!(reply instanceof Fd) || !reply.isOpen) return reply;
    const late = refused();
    if (late !== undefined) {
      reply.close();
      return late;
    }
    events.count(call.namespace, use, reply.number);
    return reply;
  };
  const early = refused();
  if (early !== undefined) return early;
  const reply = openEvent();
  return reply instanceof Promise ? reply.then(counted) : counted(reply);
}

interface Event {
  readonly attr: Buffer;
  /** Counts for the calling thread alone, or for whatever the CPU does. */
  readonly of: 'caller' | 'cpu';
}

function isInGroup({ notification }: Call): boolean {
  const group = notification.argument(3) | 0;
  return group !== -1 || (notification.argument(4) & ~PERF_FLAG_FD_CLOEXEC) !== 0;
}

/** Or why it is refused. */
function chooseEvent(attr: Buffer): Event | string {
  const type = attr.readUInt32LE(a.type);
  const config = attr.readBigUInt64LE(a.config);
  if (type === PERF_TYPE_TRACEPOINT) return tracepoint(attr, config);
  if (type === PERF_TYPE_SOFTWARE && config === PERF_COUNT_SW_BPF_OUTPUT) return output(attr);
  if (type === PERF_TYPE_SOFTWARE && config === PERF_COUNT_SW_CPU_CLOCK) return timer(attr);
  return `events of type ${type}, config ${config}`;
}

/**
 * A program on a tracepoint runs for all tasks, whatever the event was opened for: so the event is
 * of the caller alone, and counts nothing of others.
 */
function tracepoint(attr: Buffer, config: bigint): Event | string {
  if (!isAllowedTracepoint(Number(config))) return `tracepoint ${config}: it shows other tasks, or the kernel`;
  return { attr: fresh(attr, PERF_ATTR_DISABLED), of: 'caller' };
}

/** What programs write goes there, and nothing else. */
function output(attr: Buffer): Event | string {
  const samples = attr.readBigUInt64LE(a.sample_type);
  if ((samples & ~OUTPUT_SAMPLES) !== 0n) return `sample type 0x${samples.toString(16)} for the output of programs`;
  const made = fresh(attr, PERF_ATTR_DISABLED | WATERMARK | WRITE_BACKWARD);
  attr.copy(made, a.sample_period, a.sample_period, a.sample_period + 8);
  attr.copy(made, a.wakeup_events, a.wakeup_events, a.wakeup_events + 4);
  made.writeBigUInt64LE(samples, a.sample_type);
  return { attr: made, of: 'cpu' };
}

/** Its count is the time that has passed; its samples are empty. */
function timer(attr: Buffer): Event | string {
  const period = attr.readBigUInt64LE(a.sample_period);
  const isFrequency = (attr.readUInt32LE(PERF_ATTR_FLAGS) & FREQUENCY) !== 0;
  if (period === 0n || (isFrequency ? period > MAX_FREQUENCY : period < MIN_PERIOD)) {
    return `a timer of more than ${MAX_FREQUENCY} Hz`;
  }
  const made = fresh(attr, PERF_ATTR_DISABLED | FREQUENCY);
  attr.copy(made, a.sample_period, a.sample_period, a.sample_period + 8);
  return { attr: made, of: 'cpu' };
}

/** The same event, with these flags and nothing else that was asked for. */
function fresh(attr: Buffer, flags: number): Buffer {
  const made = Buffer.alloc(PERF_ATTR_SIZE_VER0);
  attr.copy(made, 0, 0, a.config + 8);
  made.writeUInt32LE(made.length, a.size);
  made.writeUInt32LE(attr.readUInt32LE(PERF_ATTR_FLAGS) & flags, PERF_ATTR_FLAGS);
  return made;
}

function useOf({ notification }: Call, attr: Buffer): Use {
  const config = attr.readBigUInt64LE(a.config);
  if (attr.readUInt32LE(a.type) === PERF_TYPE_TRACEPOINT) return { of: 'tracepoint', id: Number(config) };
  if (config !== PERF_COUNT_SW_CPU_CLOCK) return { of: 'memory' };
  const period = Number(attr.readBigUInt64LE(a.sample_period));
  const isFrequency = (attr.readUInt32LE(PERF_ATTR_FLAGS) & FREQUENCY) !== 0;
  return { of: 'timer', cpu: notification.argument(2), hz: isFrequency ? period : Math.ceil(1e9 / period) };
}

function open(call: Call, { attr, of }: Event): Fd {
  const cpu = call.notification.argument(2) | 0;
  const openFor = (pid: number): Fd =>
    new Fd(syscallPerfEventOpen(SYS.perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC));
  return of === 'caller' ? call.caller.openByNumber(openFor) : openFor(-1);
}
