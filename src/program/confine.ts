/** Changes a tracing program so that it runs only for the tasks of a namespace and shows nothing of others. */
import { type Kind, TracingType, UPROBE_MULTI } from './check.js';
import type { Code } from './code.js';
import { usesContext } from './context.js';
import { helpersOf, notableIn } from './flow.js';
import { helper } from './helpers.js';
import { callHelper, type Instruction, instruction, loadMap, loadMapValue, Op } from './instruction.js';
import { type Edit, type Program, rewrite } from './rewrite.js';
import { clearStack, functionStarts } from './stack.js';

const Helper = {
  mapLookup: 1,
  probeRead: 4,
  smpProcessorId: 8,
  currentPidTgid: 14,
  getStackId: 27,
  currentTask: 35,
  numaNodeId: 42,
  probeReadStr: 45,
  getStack: 67,
  probeReadUser: 112,
  probeReadUserStr: 114,
  nsCurrentPidTgid: 120,
  taskStorageGet: 156,
  currentTaskBtf: 158,
} as const;

const EFAULT = 14;
const BPF_F_USER_STACK = 0x100;

/** A call for its own sake. Others the kernel replaces by code, for which it moves all that follows. */
const callNothing = (): Instruction => callHelper(Helper.numaNodeId);

/** Whose tasks a program is for, and where it finds that out. */
export interface Scope {
  readonly namespace: number;
  /** Task storage: fd in the process that loads the program; offset of the namespace in its value. */
  readonly tasks: { readonly fd: number; readonly namespaceAt: number };
  /** Hash by namespace; offset in its value of the ancestor at the level of `namespace`. */
  readonly namespaces: { readonly fd: number; readonly ancestorAt: number };
}

/** A word of struct pt_regs, and bits of it that are set, or clear, in user mode. */
export interface UserMode {
  readonly at: number;
  readonly mask: number;
  readonly ifSet: boolean;
}

/** Offsets in the kernel that loads the program, and how deep the PID namespace is that counts. */
export interface KernelView {
  readonly userMode: UserMode;
  /** Of the namespace's PID namespace; 0 is the init one. */
  readonly level: number;
  readonly groupLeader: number;
  readonly threadPid: number;
  readonly pidLevel: number;
  readonly pidNumbers: number;
  readonly numberSize: number;
  /** Where programs may not read the numbers of struct pid: a helper is asked instead. */
  readonly pidHelper?: PidHelper;
}

/** What bpf_get_ns_current_pid_tgid() needs: the PID namespace, and where each CPU may put the answer. */
export interface PidHelper {
  /** Of the namespace's file in nsfs. */
  readonly device: number;
  readonly inode: number;
  /** An array of one value: fd in the process that loads the program; how many answers fit, a power of two. */
  readonly answers: { readonly fd: number; readonly count: number };
}

/** Puts the scope check in front, and changes nothing else (tracing=filtered). */
export function filter(program: Program, kind: Kind, scope: Scope): Program {
  const { code } = program;
  const isOfNobody = kind.type === TracingType.perfEvent && !usesContext(code) && isNeutral(code);
  return rewrite(program, new Map(), isOfNobody ? [] : scopeCheck(scope, valueOutside(kind)));
}

/** A timer interrupts whatever runs: a program that looks at nothing of that may go on (bpftrace's `interval`). */
const isNeutral = (code: Code): boolean => [...helpersOf(code)].every((id) => helper(id).isNeutral);

/**
 * The scope check, and what `helpers` calls `changed`. The program has been checked.
 * @param depths how much of its stack each function clears (stack.ts)
 * @throws ProgramError
 */
export function confine(
  program: Program,
  kind: Kind,
  scope: Scope,
  kernel: KernelView,
  depths: readonly number[],
): Program {
  const { code } = program;
  const edits = new Map<number, Edit>();
  const [, ...functions] = functionStarts(code);
  const endOfMain = functions[0] ?? code.length;
  for (const at of notableIn(code)) {
    const isExitOfMain = at < endOfMain && code.opcode(at) === Op.exit;
    const edit = isExitOfMain ? forceValue(kind) : changedCall(code.at(at), kernel);
    if (edit) edits.set(at, edit);
  }
  functions.forEach((start, i) => {
    edits.set(start, { ...edits.get(start), entry: clearStack(depths[i + 1] ?? 0) });
  });
  const prologue = [...checkFor(code, kind, scope, kernel), ...clearStack(depths[0] ?? 0)];
  return rewrite(program, edits, prologue);
}

function checkFor(code: Code, kind: Kind, scope: Scope, kernel: KernelView): Instruction[] {
  if (kind.type !== TracingType.perfEvent) return scopeCheck(scope, valueOutside(kind));
  // The registers of a sample may be the kernel's, at work for anybody.
  if (usesContext(code)) return scopeCheck(scope, 0, kernel.userMode);
  return isNeutral(code) ? [] : scopeCheck(scope, 0);
}

/**
 * What a program returns for tasks that are not its business. For tracepoints and uprobes 0 would hide
 * the event from everybody's perf(1); for a perf event it is the guest's own event that must show
 * nothing; uprobe_multi takes 1 for "remove the breakpoint from this process".
 */
function valueOutside({ type, attachType }: Kind): number {
  const isShared = type === TracingType.tracepoint || type === TracingType.kprobe;
  return isShared && attachType !== UPROBE_MULTI ? 1 : 0;
}

/** Inside the scope too, the event stays visible to others: a guest must not hide from the host's perf(1). */
function forceValue(kind: Kind): Edit | undefined {
  return valueOutside(kind) === 1 ? { before: [instruction(Op.moveImm, { dst: 0, imm: 1 })] } : undefined;
}

/**
 * Ends the program unless the current task's namespace is the scope's or below. It keeps the context in
 * r6 and gives it back in r1 alone; it uses 4 bytes of the stack, which the program has not begun to use.
 * @param userMode also if what is interrupted is the kernel
 */
function scopeCheck({ namespace, tasks, namespaces }: Scope, outside: number, userMode?: UserMode): Instruction[] {
  return assemble([
    instruction(Op.moveReg, { dst: 6, src: 1 }),
    ...(userMode ? unlessUserMode(userMode) : []),
    callHelper(Helper.currentTaskBtf),
    instruction(Op.moveReg, { dst: 2, src: 0 }),
    ...loadMap(1, tasks.fd),
    instruction(Op.moveImm, { dst: 3 }),
    instruction(Op.moveImm, { dst: 4 }),
    callHelper(Helper.taskStorageGet),
    { jump: instruction(Op.jumpIfNotEqualImm, { dst: 0, imm: 0 }), to: 'known' },
    { label: 'outside' },
    instruction(Op.moveImm, { dst: 0, imm: outside }),
    instruction(Op.exit),
    { label: 'known' },
    instruction(Op.loadWord, { dst: 0, src: 0, off: tasks.namespaceAt }),
    { jump: instruction(Op.jumpIfEqualImm, { dst: 0, imm: namespace }), to: 'inside' },
    instruction(Op.storeWord, { dst: 10, src: 0, off: -4 }),
    instruction(Op.moveReg, { dst: 2, src: 10 }),
    instruction(Op.addImm, { dst: 2, imm: -4 }),
    ...loadMap(1, namespaces.fd),
    callHelper(Helper.mapLookup),
    { jump: instruction(Op.jumpIfEqualImm, { dst: 0, imm: 0 }), to: 'outside' },
    instruction(Op.loadWord, { dst: 0, src: 0, off: namespaces.ancestorAt }),
    { jump: instruction(Op.jumpIfNotEqualImm, { dst: 0, imm: namespace }), to: 'outside' },
    ...untilVerifierRemembers(),
    { label: 'inside' },
    instruction(Op.moveReg, { dst: 1, src: 6 }),
    instruction(Op.moveImm, { dst: 6 }),
  ]);
}

/**
 * Two ways lead inside. The verifier goes on behind this one first, and must not verify the whole program again for
 * the other: it remembers a place only after two jumps or calls and eight instructions (is_state_visited()).
 */
const untilVerifierRemembers = (): Instruction[] => [
  callNothing(),
  callNothing(),
  ...Array.from({ length: 6 }, () => instruction(Op.moveImm, { dst: 0 })),
];

const unlessUserMode = ({ at, mask, ifSet }: UserMode): Line[] => {
  const test = instruction(Op.jumpIfSetImm, { dst: 0, imm: mask });
  const load = instruction(Op.loadLong, { dst: 0, src: 1, off: at });
  return ifSet
    ? [load, { jump: test, to: 'user' }, { jump: instruction(Op.jump), to: 'outside' }, { label: 'user' }]
    : [load, { jump: test, to: 'outside' }];
};

type Label = 'inside' | 'known' | 'outside' | 'user';
type Line = Instruction | { readonly label: Label } | { readonly jump: Instruction; readonly to: Label };

/** Turns labels into distances. */
function assemble(lines: readonly Line[]): Instruction[] {
  const places = new Map<Label, number>();
  let slots = 0;
  for (const line of lines) {
    if ('label' in line) places.set(line.label, slots);
    else slots++;
  }
  const code: Instruction[] = [];
  for (const line of lines) {
    if ('label' in line) continue;
    const distance = 'jump' in line ? (places.get(line.to) ?? 0) - code.length - 1 : 0;
    code.push('jump' in line ? { ...line.jump, off: distance } : line);
  }
  return code;
}

function changedCall({ code, src, imm }: Instruction, kernel: KernelView): Edit | undefined {
  if (code !== Op.call || src !== 0) return undefined;
  switch (imm) {
    case Helper.probeRead:
      return { becomes: [callHelper(Helper.probeReadUser)] };
    case Helper.probeReadStr:
      return { becomes: [callHelper(Helper.probeReadUserStr)] };
    case Helper.getStackId:
      return { before: failUnlessUserStack(3) };
    case Helper.getStack:
      return { before: failUnlessUserStack(4) };
    case Helper.currentTask:
      return { before: [loseArguments()], becomes: [instruction(Op.moveImm, { dst: 0 })] };
    case Helper.currentPidTgid:
      if (kernel.level === 0) return undefined;
      return kernel.pidHelper ? pidsFromHelper(kernel.pidHelper) : pidsAsSeen(kernel);
    default:
      return undefined;
  }
}

/**
 * r1 to r5 are lost, as after any call. Where a call is left out, this one is made: what the program had there,
 * its context say, must not stay (context.ts relies on it).
 */
const loseArguments = callNothing;

/** The stack of the kernel is asked for by the absence of a flag: then -EFAULT, and the call is left out. */
const failUnlessUserStack = (flags: number): Instruction[] => [
  instruction(Op.jumpIfSetImm, { dst: flags, imm: BPF_F_USER_STACK, off: 3 }),
  loseArguments(),
  instruction(Op.moveImm, { dst: 0, imm: -EFAULT }),
  instruction(Op.jump, { off: 1 }),
];

/**
 * The pair of ids of the current task in a PID namespace that many levels deep; 0 if it is not in there.
 * No pointer stays in a register: with one the program could read the kernel's structures.
 */
function pidsAsSeen({ level, groupLeader, threadPid, pidLevel, pidNumbers, numberSize }: KernelView): Edit {
  const number = pidNumbers + level * numberSize;
  const read = [
    instruction(Op.loadWord, { dst: 1, src: 1, off: number }),
    instruction(Op.shiftLeftImm, { dst: 1, imm: 32 }),
    instruction(Op.loadLong, { dst: 2, src: 0, off: threadPid }),
    instruction(Op.loadWord, { dst: 0, src: 2, off: number }),
    instruction(Op.orReg, { dst: 0, src: 1 }),
    instruction(Op.moveImm, { dst: 2 }),
    instruction(Op.jump, { off: 2 }),
  ];
  const before = [
    callHelper(Helper.currentTaskBtf),
    instruction(Op.loadLong, { dst: 1, src: 0, off: groupLeader }),
    instruction(Op.loadLong, { dst: 1, src: 1, off: threadPid }),
    instruction(Op.loadWord, { dst: 2, src: 1, off: pidLevel }),
    instruction(Op.jumpIfLessImm, { dst: 2, imm: level, off: read.length }),
    ...read,
    instruction(Op.moveImm, { dst: 1 }),
  ];
  return { before, becomes: [instruction(Op.moveImm, { dst: 0 })] };
}

/**
 * The same by a helper, which says 0 for tasks of PID namespaces below. It writes into the answer of the CPU: nothing
 * else runs there meanwhile that would (the kernel runs one tracing program on a CPU at a time). No register
 * and no stack is needed that the program may use itself.
 */
function pidsFromHelper({ device, inode, answers }: PidHelper): Edit {
  const answerIn = (dst: number): Instruction[] => [
    callHelper(Helper.smpProcessorId),
    instruction(Op.andImm, { dst: 0, imm: answers.count - 1 }),
    instruction(Op.shiftLeftImm, { dst: 0, imm: 3 }),
    ...loadMapValue(dst, answers.fd),
    instruction(Op.addReg, { dst, src: 0 }),
  ];
  const before = [
    ...answerIn(3),
    instruction(Op.moveWordImm, { dst: 1, imm: device }),
    instruction(Op.moveWordImm, { dst: 2, imm: inode | 0 }),
    instruction(Op.moveImm, { dst: 4, imm: 8 }),
    callHelper(Helper.nsCurrentPidTgid),
    ...answerIn(1),
    instruction(Op.loadWord, { dst: 0, src: 1, off: 4 }),
    instruction(Op.shiftLeftImm, { dst: 0, imm: 32 }),
    instruction(Op.loadWord, { dst: 1, src: 1, off: 0 }),
  ];
  return { before, becomes: [instruction(Op.orReg, { dst: 0, src: 1 })] };
}
