/** Which instruction leads to which: the structure that a program must have before anything else is asked of it. */
import type { Code } from './code.js';
import { CallOf, Class, classOf, Load64Of, Op, ProgramError } from './instruction.js';

/** From one instruction to another one, by distance; `field` is where the distance stands. */
export interface Reference {
  readonly at: number;
  readonly kind: 'jump' | 'call' | 'callback';
  readonly field: 'off' | 'imm';
  readonly target: number;
}

/** By opcode: jumps, calls, exits and 64-bit loads. */
const isNotable = Uint8Array.from({ length: 256 }, (_, opcode) => {
  const kind = classOf(opcode);
  return opcode === Op.loadImm64 || kind === Class.jmp || kind === Class.jmp32 ? 1 : 0;
});

const notable = new WeakMap<Code, readonly number[]>();
const references = new WeakMap<Code, readonly Reference[]>();

/**
 * Where the program does more than compute: the slots of its jumps, calls, exits and 64-bit loads. Few are,
 * and nearly all that is asked of a program is about these.
 */
export function notableIn(code: Code): readonly number[] {
  const known = notable.get(code);
  if (known) return known;
  const found: number[] = [];
  for (let at = 0; at < code.length; at++) {
    const opcode = code.opcode(at);
    if (isNotable[opcode] !== 1) continue;
    found.push(at);
    if (opcode === Op.loadImm64) at++;
  }
  notable.set(code, found);
  return found;
}

/** All references, in the order of their instructions. */
export function referencesIn(code: Code): readonly Reference[] {
  const known = references.get(code);
  if (known) return known;
  const found: Reference[] = [];
  for (const at of notableIn(code)) {
    const reference = referenceAt(code, at);
    if (reference) found.push(reference);
  }
  references.set(code, found);
  return found;
}

/** What the instruction at a slot refers to, if anything. It is not the second half of a 64-bit load. */
export function referenceAt(code: Code, at: number): Reference | undefined {
  const opcode = code.opcode(at);
  if (isNotable[opcode] !== 1 || opcode === Op.exit) return undefined;
  if (opcode === Op.loadImm64) {
    const isFunction = code.src(at) === Load64Of.function;
    return isFunction ? { at, kind: 'callback', field: 'imm', target: at + 1 + code.imm(at) } : undefined;
  }
  if (opcode === Op.call) {
    const isFunction = code.src(at) === CallOf.function;
    return isFunction ? { at, kind: 'call', field: 'imm', target: at + 1 + code.imm(at) } : undefined;
  }
  if (opcode === Op.jumpLong) return { at, kind: 'jump', field: 'imm', target: at + 1 + code.imm(at) };
  return { at, kind: 'jump', field: 'off', target: at + 1 + code.off(at) };
}

/** Slots that an instruction takes. */
export const slotsOf = (opcode: number): number => (opcode === Op.loadImm64 ? 2 : 1);

/**
 * Holds a program to the form in which all its references can be known: every instruction is one that this
 * module knows, every 64-bit load is whole, every reference leads to an instruction, and none runs into the
 * end. What is not known is refused, since it may lead somewhere too: indirect jumps and calls through a
 * register, packet loads.
 * @throws ProgramError
 */
export function checkForm(code: Code): void {
  const { length } = code;
  const isSecondHalf = new Uint8Array(length);
  let last: number | undefined;
  for (let at = 0; at < length; at++) {
    last = code.opcode(at);
    if (!isKnown(code, at)) throw new ProgramError(at, `unknown opcode 0x${last.toString(16)}`);
    if (last !== Op.loadImm64) continue;
    at++;
    checkSecondHalf(code, at);
    isSecondHalf[at] = 1;
  }
  for (const { at, kind, target } of referencesIn(code)) {
    if (target < 0 || target >= length) throw new ProgramError(at, `${kind} out of the program`);
    if (isSecondHalf[target]) throw new ProgramError(at, `${kind} into the middle of an instruction`);
  }
  if (last !== Op.exit && last !== Op.jump && last !== Op.jumpLong) {
    throw new ProgramError(length - 1, 'the last one is neither an exit nor a jump');
  }
}

function checkSecondHalf(code: Code, at: number): void {
  if (at === code.length) throw new ProgramError(at - 1, 'the second half of a 64-bit load is missing');
  if (code.opcode(at) || code.dst(at) || code.src(at) || code.off(at)) {
    throw new ProgramError(at - 1, 'the second half of a 64-bit load is something else');
  }
}

/** 1 for each slot that a jump, a call or a callback leads to. */
export function targetsOf(code: Code): Uint8Array {
  const targets = new Uint8Array(code.length);
  for (const { target } of referencesIn(code)) targets[target] = 1;
  return targets;
}

/** The helpers that a program calls. */
export function helpersOf(code: Code): Set<number> {
  const found = new Set<number>();
  for (const at of notableIn(code)) {
    if (code.opcode(at) === Op.call && code.src(at) === CallOf.helper) found.add(code.imm(at));
  }
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
const FRAME = 10;

function isKnown(code: Code, at: number): boolean {
  const opcode = code.opcode(at);
  if (isKnownOpcode[opcode] !== 1 || code.src(at) > FRAME || code.dst(at) > FRAME) return false;
  // Other offsets of a move cast between address spaces.
  return isMove[opcode] !== 1 || SIGN_EXTENSIONS.includes(code.off(at));
}

const isMove = Uint8Array.from({ length: 256 }, (_, opcode) => {
  const kind = classOf(opcode);
  return (kind === Class.alu || kind === Class.alu64) && (opcode & OPERATION) === MOVE ? 1 : 0;
});

const isKnownOpcode = Uint8Array.from({ length: 256 }, (_, opcode) => (knows(opcode) ? 1 : 0));

function knows(opcode: number): boolean {
  const mode = opcode & MODE;
  const operation = opcode & OPERATION;
  switch (classOf(opcode)) {
    case Class.ld:
      return opcode === Op.loadImm64;
    case Class.ldx:
      return mode === MEM || mode === MEM_SIGNED;
    case Class.st:
      return mode === MEM;
    case Class.stx:
      return mode === MEM || mode === ATOMIC;
    case Class.alu:
    case Class.alu64:
      return operation <= HIGHEST_ALU;
    case Class.jmp:
      if (operation === (Op.jump & OPERATION)) return opcode === Op.jump;
      if (opcode === Op.call || opcode === Op.exit || opcode === Op.mayGoto) return true;
      return isCondition(operation);
    default:
      return opcode === Op.jumpLong || isCondition(operation);
  }
}

function isCondition(operation: number): boolean {
  const isCallOrExit = operation === (Op.call & OPERATION) || operation === (Op.exit & OPERATION);
  return operation > 0 && operation <= HIGHEST_CONDITION && !isCallOrExit;
}
