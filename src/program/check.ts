/**
 * Whether a program may be loaded for a guest that is to trace its own tasks only (tracing=own). The
 * kernel's verifier keeps it to what its type, helpers and references allow; here it is decided which.
 */
import type { Code } from './code.js';
import { contextUse, readOfMapStructure, usesContext } from './context.js';
import { notableIn } from './flow.js';
import { helper } from './helpers.js';
import { CallOf, type Instruction, Load64Of, Op } from './instruction.js';

/** Program types that trace (enum bpf_prog_type); the kernel wants CAP_PERFMON for each of them. */
export const TracingType = {
  kprobe: 2,
  tracepoint: 5,
  perfEvent: 7,
  rawTracepoint: 17,
  rawTracepointWritable: 24,
  tracing: 26,
  structOps: 27,
  extension: 28,
  lsm: 29,
} as const;

/** BPF_TRACE_UPROBE_MULTI. */
export const UPROBE_MULTI = 48;

export const isTracingType = (type: number): boolean => (Object.values(TracingType) as number[]).includes(type);

/** Why a program is refused. */
export interface Refusal {
  /** The instruction, or -1 if it is the program as a whole. */
  readonly at: number;
  /** What it asks for: a helper, a type. */
  readonly what: string;
  readonly reason: string;
}

/** What the check needs to know of a program besides its instructions. */
export interface Kind {
  readonly type: number;
  /** expected_attach_type. */
  readonly attachType: number;
}

const whole = (what: string, reason: string): Refusal => ({ at: -1, what, reason });

/** undefined if its type can be confined to the tasks of a namespace. */
export function refuseKind({ type, attachType }: Kind): Refusal | undefined {
  switch (type) {
    case TracingType.kprobe:
      if (attachType === 0) return undefined;
      // The kernel attaches it wherever the guest says: into the middle of an instruction that others execute, too.
      if (attachType === UPROBE_MULTI) return whole('a uprobe_multi program', 'its probes cannot be checked');
      return whole('this kind of kprobe program', 'it is for functions of the kernel');
    case TracingType.tracepoint:
    case TracingType.perfEvent:
    // It can be attached to nothing (raw-tracepoint-open.ts), only be run by BPF_PROG_TEST_RUN: bpftrace's BEGIN.
    case TracingType.rawTracepoint:
      return undefined;
    default:
      return whole(`program type ${type}`, 'it reads kernel memory, or acts for the whole machine');
  }
}

/** undefined if all that the instructions ask for is allowed. They have the form that checkForm() wants. */
export function refuseInstructions({ type }: Kind, code: Code): Refusal | undefined {
  let refusal: Refusal | undefined;
  if (type === TracingType.rawTracepoint && usesContext(code)) {
    refusal = whole('a raw tracepoint program that reads its context', 'that has addresses of the kernel');
  }
  // Kernels after 6.18 let a program on a uprobe change the registers of the task: also of setuid programs.
  if (type === TracingType.kprobe && contextUse(code).writes) {
    refusal = whole('a program that writes to its context', 'that changes the registers of the task');
  }
  for (const at of notableIn(code)) refusal ??= refuseOne(code.at(at), at);
  if (refusal) return refusal;
  const at = readOfMapStructure(code);
  return at === undefined
    ? undefined
    : { at, what: "the kernel's structure of a map", reason: 'it leads to kernel memory' };
}

const harmlessLoads: readonly number[] = [
  Load64Of.number,
  Load64Of.mapFd,
  Load64Of.mapValue,
  Load64Of.function,
  Load64Of.mapIndex,
  Load64Of.mapIndexValue,
];

function refuseOne({ code, src, imm }: Instruction, at: number): Refusal | undefined {
  if (code === Op.loadImm64) {
    if (harmlessLoads.includes(src)) return undefined;
    return { at, what: 'the address of a kernel symbol', reason: 'it reads kernel memory' };
  }
  if (code !== Op.call || src === CallOf.function) return undefined;
  if (src !== CallOf.helper) {
    return { at, what: `kernel function (BTF id ${imm})`, reason: 'kernel functions are not for confined programs' };
  }
  const { name, verdict, why } = helper(imm);
  return verdict === 'refused' ? { at, what: `bpf_${name}#${imm}`, reason: why } : undefined;
}

/**
 * A line for the log of the verifier. It begins with the kernel's own words for a helper that a type
 * does not have: that is what tools look for to find out which helpers there are.
 */
export function describe({ at, what, reason }: Refusal): string {
  const place = at < 0 ? '' : ` (instruction ${at})`;
  const start = what.startsWith('bpf_') ? 'unknown func ' : 'not allowed: ';
  return `${start}${what}${place}: tracing=own refuses it, ${reason}\n`;
}
