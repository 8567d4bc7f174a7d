/**
 * What a program does with its context: where may the pointer be that it gets in r1, and is anything read or
 * written through it? The pointer can be in registers and on the stack. In other memory it is a mere number to
 * the verifier, and so it is to a helper's caller: no helper returns the context, and callbacks are given
 * nothing but what is on the stack. In the same way pointers to the kernel's structures of maps are followed.
 */
import type { Code } from './code.js';
import { referenceAt, slotsOf, targetsOf } from './flow.js';
import { CallOf, Class, classOf, type Instruction, Load64Of, Op } from './instruction.js';

/** Where the pointers come from that are followed; below they are called the context. */
interface Sources {
  /** Registers that hold one when the program begins, and when a callback begins. */
  readonly atStart: number;
  readonly inCallbacks: number;
  /** Whether the instruction puts one into its dst. */
  readonly isMadeBy: (instruction: Instruction) => boolean;
}

/** What may be in which place: registers as bits of a number, the 64 words of the frame as bits of a bigint. */
interface State {
  readonly context: number;
  /** Pointers to a stack: its own, or that of a caller. */
  readonly stack: number;
  readonly contextWords: bigint;
  readonly stackWords: bigint;
}

/** What is true of the whole program, in whatever order it does things. */
interface Facts {
  /** It is in some word of some frame; and it was put there through a pointer, so that this may be any word. */
  context: 'nowhere' | 'known' | 'anywhere';
  stack: 'nowhere' | 'known' | 'anywhere';
  /** A function returns it. */
  isReturned: boolean;
  /** The instructions that were found first; -1 for none. */
  readAt: number;
  writtenAt: number;
}

const bit = (register: number): number => 1 << register;
const FRAME = 10;
const CALLER_SAVED = 0x3f;
const ARGUMENTS = 0x3e;
const MEM = 0x60;
const MODE = 0xe0;
const SIZE = 0x18;
const LONG = 0x18;
/** In imm of an atomic instruction that loads, from src to dst. */
const LOAD_ACQUIRE = 0x100;

export interface ContextUse {
  readonly reads: boolean;
  readonly writes: boolean;
}

/** Errs towards true. */
export function contextUse(code: Code): ContextUse {
  const { readAt, writtenAt } = follow(code, { atStart: bit(1), inCallbacks: 0, isMadeBy: () => false });
  return { reads: readAt >= 0, writes: writtenAt >= 0 };
}

/**
 * An instruction that may read the kernel's structure of a map (struct bpf_map), or undefined. The
 * verifier lets a privileged program do so, and follow the pointers in there. The first argument of a
 * callback may be a map (bpf_for_each_map_elem).
 */
export function readOfMapStructure(code: Code): number | undefined {
  const { readAt, writtenAt } = follow(code, { atStart: 0, inCallbacks: bit(1), isMadeBy: isMapPointer });
  const at = Math.max(readAt, writtenAt);
  return at < 0 ? undefined : at;
}

const isMapPointer = ({ code, src }: Instruction): boolean =>
  code === Op.loadImm64 && (src === Load64Of.mapFd || src === Load64Of.mapIndex);

/** The program has the form that checkForm() wants. */
function follow(code: Code, sources: Sources): Facts {
  const facts: Facts = { context: 'nowhere', stack: 'nowhere', isReturned: false, readAt: -1, writtenAt: -1 };
  const isTarget = targetsOf(code);
  /** Where it begins and at each target: in between, one instruction follows the other. */
  const before = new Map([[0, frameOf(sources.atStart, 0)]]);
  const todo = [0];
  const enter = (at: number, entry: State): void => {
    const known = before.get(at);
    const joined = known ? join(known, entry) : entry;
    if (known && isSame(known, joined)) return;
    before.set(at, joined);
    todo.push(at);
  };
  for (let start = todo.pop(); start !== undefined; start = todo.pop()) {
    let state = before.get(start);
    for (let at = start; ; ) {
      if (at >= code.length || !state) return { ...facts, readAt: at, writtenAt: at };
      if (changesNothing(code, at, state)) {
        at++;
        if (isTarget[at] !== 1) continue;
        enter(at, state);
        break;
      }
      const instruction = code.at(at);
      const { context, stack, isReturned } = facts;
      note(instruction, at, state, facts);
      const made = sources.isMadeBy(instruction);
      const after: State = made ? put(state, instruction.dst, true, false) : step(instruction, state, facts);
      // Elsewhere less may have been found than is true now.
      if (facts.context !== context || facts.stack !== stack || facts.isReturned !== isReturned) {
        todo.push(...before.keys());
      }
      lead(code, at, state, after, sources, enter);
      const opcode = instruction.code;
      if (opcode === Op.exit || opcode === Op.jump || opcode === Op.jumpLong) break;
      at += slotsOf(opcode);
      if (isTarget[at] === 1) {
        enter(at, after);
        break;
      }
      state = after;
    }
  }
  return facts;
}

/**
 * Whether it is arithmetic, a load or a store whose registers hold nothing of interest: most are, and programs
 * are long. What `isMadeBy` finds is of another class.
 */
function changesNothing(code: Code, at: number, { context, stack }: State): boolean {
  if (((context | stack) & (bit(code.dst(at)) | bit(code.src(at)))) !== 0) return false;
  const kind = classOf(code.opcode(at));
  return kind !== Class.ld && kind !== Class.jmp && kind !== Class.jmp32;
}

/** Whether it does anything with what the pointer leads to. */
export function usesContext(code: Code): boolean {
  const { reads, writes } = contextUse(code);
  return reads || writes;
}

/** At the beginning of a function, whose frame has nothing. */
const frameOf = (context: number, stack: number): State => {
  return { context, stack: stack | bit(FRAME), contextWords: 0n, stackWords: 0n };
};

const join = (a: State, b: State): State => ({
  context: a.context | b.context,
  stack: a.stack | b.stack,
  contextWords: a.contextWords | b.contextWords,
  stackWords: a.stackWords | b.stackWords,
});

const isSame = (a: State, b: State): boolean =>
  a.context === b.context && a.stack === b.stack && a.contextWords === b.contextWords && a.stackWords === b.stackWords;

const isAtomic = ({ code }: Instruction): boolean => classOf(code) === Class.stx && (code & MODE) !== MEM;

function note(instruction: Instruction, at: number, { context }: State, facts: Facts): void {
  const isDst = (context & bit(instruction.dst)) !== 0;
  const isSrc = (context & bit(instruction.src)) !== 0;
  switch (classOf(instruction.code)) {
    case Class.ldx:
      if (isSrc) facts.readAt = at;
      return;
    case Class.st:
    case Class.stx:
      if (isDst) facts.writtenAt = at;
      if (isSrc && isAtomic(instruction) && instruction.imm === LOAD_ACQUIRE) facts.readAt = at;
      return;
    default:
      if (instruction.code === Op.exit && (context & bit(0)) !== 0) facts.isReturned = true;
  }
}

function step(instruction: Instruction, state: State, facts: Facts): State {
  const { code, dst, src } = instruction;
  switch (classOf(code)) {
    case Class.ldx:
      return load(state, dst, src, instruction, facts);
    case Class.st:
      return store(state, undefined, instruction, facts);
    case Class.stx: {
      if (!isAtomic(instruction)) return store(state, src, instruction, facts);
      if (instruction.imm === LOAD_ACQUIRE) return load(state, dst, src, instruction, facts);
      // It may keep what it stores, and give what was there, in src or r0.
      const stored = join(state, store(state, src, instruction, facts));
      return join(join(stored, load(stored, src, dst, instruction, facts)), load(stored, 0, dst, instruction, facts));
    }
    case Class.ld:
      return put(state, dst, false, false);
    case Class.alu:
    case Class.alu64: {
      const [context, stack] = has(state, src);
      if (code === Op.moveReg) return put(state, dst, context, stack);
      if (code === Op.moveImm) return put(state, dst, false, false);
      const [hasContext, hasStack] = has(state, dst);
      const usesSource = (code & 8) !== 0;
      return put(state, dst, hasContext || (usesSource && context), hasStack || (usesSource && stack));
    }
    default:
      return code === Op.call ? afterCall(instruction, state, facts) : state;
  }
}

const has = ({ context, stack }: State, register: number): [context: boolean, stack: boolean] => [
  (context & bit(register)) !== 0,
  (stack & bit(register)) !== 0,
];

function put(state: State, register: number, context: boolean, stack: boolean): State {
  const others = ~bit(register);
  const contexts = (state.context & others) | (context ? bit(register) : 0);
  const stacks = (state.stack & others) | (stack ? bit(register) : 0);
  if (contexts === state.context && stacks === state.stack) return state;
  return { context: contexts, stack: stacks, contextWords: state.contextWords, stackWords: state.stackWords };
}

const hasNoWords = ({ contextWords, stackWords }: State): boolean => contextWords === 0n && stackWords === 0n;

/** The words of the frame that 8 bytes at an offset from r10 are in. */
function wordsAt(off: number): bigint {
  const first = Math.floor(off / 8) + 64;
  const last = Math.floor((off + 7) / 8) + 64;
  return wordAt(first) | wordAt(last);
}
const wordAt = (index: number): bigint => (index < 0 || index > 63 ? 0n : 1n << BigInt(index));

/** Only as a whole is a pointer one. */
function load(state: State, to: number, base: number, { code, off }: Instruction, facts: Facts): State {
  if ((code & SIZE) !== LONG) return put(state, to, false, false);
  if (base === FRAME) {
    const words = hasNoWords(state) ? 0n : wordsAt(off);
    const context = (state.contextWords & words) !== 0n || facts.context === 'anywhere';
    return put(state, to, context, (state.stackWords & words) !== 0n || facts.stack === 'anywhere');
  }
  if ((state.stack & bit(base)) === 0) return put(state, to, false, false);
  return put(state, to, facts.context !== 'nowhere', facts.stack !== 'nowhere');
}

/** @param from undefined for a constant */
function store(state: State, from: number | undefined, { code, dst, off }: Instruction, facts: Facts): State {
  if ((code & SIZE) !== LONG) return state;
  const [context, stack] = from === undefined ? [false, false] : has(state, from);
  if (dst === FRAME) {
    if (context && facts.context === 'nowhere') facts.context = 'known';
    if (stack && facts.stack === 'nowhere') facts.stack = 'known';
    if (!context && !stack && hasNoWords(state)) return state;
    const words = wordsAt(off);
    // A word that is overwritten as a whole has nothing else any more.
    const others = off % 8 === 0 ? ~words : -1n;
    return {
      ...state,
      contextWords: (state.contextWords & others) | (context ? words : 0n),
      stackWords: (state.stackWords & others) | (stack ? words : 0n),
    };
  }
  if ((state.stack & bit(dst)) === 0) return state;
  if (context) facts.context = 'anywhere';
  if (stack) facts.stack = 'anywhere';
  return state;
}

/** A function may return what it got, or made. */
function afterCall({ src }: Instruction, state: State, facts: Facts): State {
  const kept: State = { ...state, context: state.context & ~CALLER_SAVED, stack: state.stack & ~CALLER_SAVED };
  if (src !== CallOf.function) return kept;
  return put(kept, 0, facts.isReturned, (state.stack & ARGUMENTS) !== 0 || facts.stack !== 'nowhere');
}

/** Enters what the instruction refers to, with what is known there. */
function lead(
  code: Code,
  at: number,
  before: State,
  after: State,
  { inCallbacks }: Sources,
  enter: (at: number, entry: State) => void,
): void {
  const reference = referenceAt(code, at);
  if (!reference) return;
  const { kind, target } = reference;
  if (kind === 'call') enter(target, frameOf(before.context & ARGUMENTS, before.stack & ARGUMENTS));
  else if (kind === 'callback') enter(target, frameOf(inCallbacks, ARGUMENTS));
  else enter(target, after);
}
