/** What tests ask of a program's code. */
import type { Code } from '../../src/program/code.js';
import { slotsOf } from '../../src/program/flow.js';
import type { Instruction } from '../../src/program/instruction.js';

/** What is in each of its slots. */
export const listOf = (code: Code): Instruction[] => Array.from({ length: code.length }, (_, at) => code.at(at));

/** Slots where an instruction begins. */
export function beginningsOf(code: Code): number[] {
  const found: number[] = [];
  for (let at = 0; at < code.length; at += slotsOf(code.opcode(at))) found.push(at);
  return found;
}
