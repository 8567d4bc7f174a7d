/** Which instruction leads to which: the structure that a program must have before anything else is asked of it. */
import { CallOf, Class, type Instruction, Load64Of, Op, ProgramError } from './instruction.js';

/** From one instruction to another one, by distance; `field` is where the distance stands. */
export interface Reference {
  readonly kind: 'jump' | 'call' | 'callback';
  readonly field: 'off' | 'imm';
  readonly target: number;
}

/** What the instruction at slot `at` refers to, if anything. It is not the second half of a 64-bit load. */
export function referenceOf(instruction: Instruction, at: number): Reference | undefined {
  const { code, src, off, imm } = instruction;
  if (mayRefer[code] !== 1) return undefined;
  if (code === Op.loadImm64) {
    return src === Load64Of.function ? { kind: 'callback', field: 'imm', target: at + 1 + imm } : undefined;
  }
  if (code === Op.call) {
    return src === CallOf.function ? { kind: 'call', field: 'imm', target: at + 1 + imm } : undefined;
  }
  if (code === Op.exit) return undefined;
  if (code === Op.jumpLong) return { kind: 'jump', field: 'imm', target: at + 1 + imm };
  return { kind: 'jump', field: 'off', target: at + 1 + off };
}

/** By opcode: few instructions do, and programs are long. */
const mayRefer = Uint8Array.from({ length: 256 }, (_, code) => {
  const kind = code & 7;
  return code === Op.loadImm64 || kind === Class.jmp || kind === Class.jmp32 ? 1 : 0;
});

/** Slots that an instruction takes. */
export const slotsOf = ({ code }: Instruction): number => (code === Op.loadImm64 ? 2 : 1);

/**
 * Holds a program to the form in which all its references can be known: every instruction is one that this
 * module knows, every 64-bit load is whole, every reference leads to an instruction, and none runs into the
 * end. What is not known
 * is refused, since it may lead somewhere too: indirect jumps and calls through a register, packet loads.
 * @throws ProgramError
 */
export function checkForm(instructions: readonly Instruction[]): void {
  const { length } = instructions;
  const isSecondHalf = new Uint8Array(length);
  let last: number | undefined;
  for (let at = 0; at < length; at++) {
    const instruction = instructions[at];
    if (!instruction) break;
    last = instruction.code;
    if (!isKnown(instruction)) throw new ProgramError(at, `unknown opcode 0x${last.toString(16)}`);
    if (last !== Op.loadImm64) continue;
    at++;
    checkSecondHalf(instructions[at], at - 1);
    isSecondHalf[at] = 1;
  }
  forEachReference(instructions, ({ kind, target }, at) => {
    if (target < 0 || target >= length) throw new ProgramError(at, `${kind} out of the program`);
    if (isSecondHalf[target]) throw new ProgramError(at, `${kind} into the middle of an instruction`);
  });
  if (last !== Op.exit && last !== Op.jump && last !== Op.jumpLong) {
    throw new ProgramError(length - 1, 'the last one is neither an exit nor a jump');
  }
}

function checkSecondHalf(second: Instruction | undefined, at: number): void {
  if (!second) throw new ProgramError(at, 'the second half of a 64-bit load is missing');
  if (second.code || second.dst || second.src || second.off) {
    throw new ProgramError(at, 'the second half of a 64-bit load is something else');
  }
}

/** Calls `visit` with every instruction and its slot; the second half of a 64-bit load is not one. */
export function forEachInstruction(
  instructions: readonly Instruction[],
  visit: (instruction: Instruction, at: number) => void,
): void {
  for (let at = 0; at < instructions.length; ) {
    const instruction = instructions[at];
    if (!instruction) return;
    visit(instruction, at);
    at += slotsOf(instruction);
  }
}

/** Calls `visit` with every reference, and the slot of its instruction. */
export function forEachReference(
  instructions: readonly Instruction[],
  visit: (reference: Reference, at: number) => void,
): void {
  for (let at = 0; at < instructions.length; at++) {
    const instruction = instructions[at];
    if (!instruction) return;
    const reference = referenceOf(instruction, at);
    if (reference) visit(reference, at);
    if (instruction.code === Op.loadImm64) at++;
  }
}

/** 1 for each slot that a jump, a call or a callback leads to. */
export function targetsOf(instructions: readonly Instruction[]): Uint8Array {
  const targets = new Uint8Array(instructions.length);
  forEachReference(instructions, ({ target }) => {
    targets[target] = 1;
  });
  return targets;
}

/** The helpers that a program calls. */
export function helpersOf(instructions: readonly Instruction[]): Set<number> {
  const found = new Set<number>();
  forEachInstruction(instructions, ({ code, src, imm }) => {
    if (code === Op.call && src === CallOf.helper) found.add(imm);
  });
  return found;
}

const MEM = 0x60;
const MEM_SIGNED = 0x80;
const ATOMIC = 0xc0;
const MODE = 0xe0;
const OPERATION = 0xf0;
const HIGHEST_ALU = 0xd0;
const HIGHEST_CONDITION = 0xd0;
const MOVE = 0xb0;
const SIGN_EXTENSIONS = [0, 8, 16, 32];

function isKnown({ code, off, src, dst }: Instruction): boolean {
  if (src > 10 || dst > 10) return false;
  const mode = code & MODE;
  const operation = code & OPERATION;
  switch (code & 7) {
    case Class.ld:
      return code === Op.loadImm64;
    case Class.ldx:
      return mode === MEM || mode === MEM_SIGNED;
    case Class.st:
      return mode === MEM;
    case Class.stx:
      return mode === MEM || mode === ATOMIC;
    case Class.alu:
    case Class.alu64:
      // Other offsets of a move cast between address spaces.
      return operation === MOVE ? SIGN_EXTENSIONS.includes(off) : operation <= HIGHEST_ALU;
    case Class.jmp:
      if (operation === (Op.jump & OPERATION)) return code === Op.jump;
      if (code === Op.call || code === Op.exit || code === Op.mayGoto) return true;
      return isCondition(code);
    default:
      return code === Op.jumpLong || isCondition(code);
  }
}

const isCondition = (code: number): boolean => {
  const operation = code & OPERATION;
  const isCallOrExit = operation === (Op.call & OPERATION) || operation === (Op.exit & OPERATION);
  return operation > 0 && operation <= HIGHEST_CONDITION && !isCallOrExit;
};
