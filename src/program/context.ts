/** Whether a program reads its context: where may the pointer be that it gets in r1? */
import { forEachInstruction, referenceOf, slotsOf } from './flow.js';
import { CallOf, Class, classOf, type Instruction, Op } from './instruction.js';

/** A set of registers, and whether the stack may hold the pointer: one bit each. */
type State = number;
const STACK = 1 << 11;
const bit = (register: number): State => 1 << register;
const CALLER_SAVED = 0x3f;
const ARGUMENTS = 0x3e;
/** More is not looked into: the answer is then that it does. */
const MAX_INSTRUCTIONS = 65_536;
const MEM = 0x60;
const MODE = 0xe0;

/** False only if no instruction reads or writes through the pointer. Errs towards true. */
export function usesContext(instructions: readonly Instruction[]): boolean {
  if (instructions.length > MAX_INSTRUCTIONS) return true;
  const before = new Map<number, State>([[0, bit(1)]]);
  const todo = [0];
  let stack = 0;
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const instruction = instructions[at];
    const state = (before.get(at) ?? 0) | stack;
    if (!instruction) return true;
    if (dereferences(instruction, state)) return true;
    const after = step(instruction, state);
    // A pointer on the stack is seen by callees and callbacks, too: then all is looked at once more.
    if ((after & STACK) !== 0 && stack === 0) {
      stack = STACK;
      for (const known of before.keys()) todo.push(known);
    }
    for (const [next, entry] of successors(instruction, at, state, after)) {
      const known = before.get(next);
      const joined = (known ?? 0) | entry;
      if (joined === known) continue;
      before.set(next, joined);
      todo.push(next);
    }
  }
  return false;
}

function dereferences(instruction: Instruction, state: State): boolean {
  const { dst, src } = instruction;
  switch (classOf(instruction)) {
    case Class.ldx:
      return (state & bit(src)) !== 0;
    case Class.st:
    case Class.stx:
      return (state & bit(dst)) !== 0;
    default:
      return false;
  }
}

function step(instruction: Instruction, state: State): State {
  const { code, dst, src } = instruction;
  const isSource = (state & bit(src)) !== 0;
  switch (classOf(instruction)) {
    case Class.ldx:
      return (state & STACK) !== 0 ? state | bit(dst) : state & ~bit(dst);
    case Class.stx:
      // An exchange may also load what was stored.
      return isSource ? state | STACK : (code & MODE) !== MEM && (state & STACK) !== 0 ? state | bit(src) | 1 : state;
    case Class.ld:
      return state & ~bit(dst);
    case Class.alu:
    case Class.alu64: {
      if (code === Op.moveReg) return isSource ? state | bit(dst) : state & ~bit(dst);
      if (code === Op.moveImm) return state & ~bit(dst);
      return (code & 8) !== 0 && isSource ? state | bit(dst) : state;
    }
    default:
      return code === Op.call ? afterCall(instruction, state) : state;
  }
}

/** A function may return what it got; no helper returns the context. */
function afterCall({ src }: Instruction, state: State): State {
  const mayReturnIt = src === CallOf.function && (state & (ARGUMENTS | STACK)) !== 0;
  return (state & ~CALLER_SAVED) | (mayReturnIt ? 1 : 0);
}

/** Where it goes on, and what is known there. */
function* successors(
  instruction: Instruction,
  at: number,
  before: State,
  after: State,
): Generator<readonly [number, State]> {
  const { code, src } = instruction;
  const reference = referenceOf(instruction, at);
  // Arguments of functions, and the context of callbacks, may be the pointer.
  if (code === Op.call && src === CallOf.function && reference) yield [reference.target, before & (ARGUMENTS | STACK)];
  else if (reference?.kind === 'callback') yield [reference.target, ARGUMENTS | (before & STACK)];
  else if (reference) yield [reference.target, after];
  if (code === Op.exit || code === Op.jump || code === Op.jumpLong) return;
  yield [at + slotsOf(instruction), after];
}

/** The helpers that a program calls. */
export function helpersOf(instructions: readonly Instruction[]): Set<number> {
  const found = new Set<number>();
  forEachInstruction(instructions, ({ code, src, imm }) => {
    if (code === Op.call && src === CallOf.helper) found.add(imm);
  });
  return found;
}
