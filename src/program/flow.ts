/** Which instruction leads to which: the structure that a program must have before anything else is asked of it. */
import { CallOf, Class, classOf, type Instruction, Load64Of, Op, ProgramError } from './instruction.js';

/** From one instruction to another one, by distance; `field` is where the distance stands. */
export interface Reference {
  readonly kind: 'jump' | 'call' | 'callback';
  readonly field: 'off' | 'imm';
  readonly target: number;
}

/** What the instruction at slot `at` refers to, if anything. It is not the second half of a 64-bit load. */
export function referenceOf(instruction: Instruction, at: number): Reference | undefined {
  const { code, src, off, imm } = instruction;
  if (code === Op.loadImm64) {
    return src === Load64Of.function ? { kind: 'callback', field: 'imm', target: at + 1 + imm } : undefined;
  }
  if (code === Op.call) {
    return src === CallOf.function ? { kind: 'call', field: 'imm', target: at + 1 + imm } : undefined;
  }
  if (code === Op.exit) return undefined;
  if (code === Op.jumpLong) return { kind: 'jump', field: 'imm', target: at + 1 + imm };
  const kind = classOf(instruction);
  if (kind !== Class.jmp && kind !== Class.jmp32) return undefined;
  return { kind: 'jump', field: 'off', target: at + 1 + off };
}

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
  const isSecondHalf = new Uint8Array(instructions.length);
  forEachInstruction(instructions, (instruction, at) => {
    checkKnown(instruction, at);
    if (instruction.code !== Op.loadImm64) return;
    const second = instructions[at + 1];
    if (!second) throw new ProgramError(at, 'the second half of a 64-bit load is missing');
    if (second.code || second.dst || second.src || second.off) {
      throw new ProgramError(at, 'the second half of a 64-bit load is something else');
    }
    isSecondHalf[at + 1] = 1;
  });
  let last: number | undefined;
  forEachInstruction(instructions, (instruction, at) => {
    last = instruction.code;
    const reference = referenceOf(instruction, at);
    if (!reference) return;
    const { kind, target } = reference;
    if (target < 0 || target >= instructions.length) throw new ProgramError(at, `${kind} out of the program`);
    if (isSecondHalf[target]) throw new ProgramError(at, `${kind} into the middle of an instruction`);
  });
  if (last !== Op.exit && last !== Op.jump && last !== Op.jumpLong) {
    throw new ProgramError(instructions.length - 1, 'the last one is neither an exit nor a jump');
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

const MEM = 0x60;
const MEM_SIGNED = 0x80;
const ATOMIC = 0xc0;
const MODE = 0xe0;
const OPERATION = 0xf0;
const HIGHEST_ALU = 0xd0;
const HIGHEST_CONDITION = 0xd0;
const MOVE = 0xb0;
const SIGN_EXTENSIONS = [0, 8, 16, 32];

function checkKnown(instruction: Instruction, at: number): void {
  if (!isKnown(instruction)) throw new ProgramError(at, `unknown opcode 0x${instruction.code.toString(16)}`);
}

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
