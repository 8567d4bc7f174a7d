/**
 * The stack of a program. The verifier lets a privileged program read what it has not written: what
 * the kernel left there. So each function begins by clearing as much of the stack as it uses.
 */
import { forEachInstruction, referenceOf } from './flow.js';
import { Class, classOf, type Instruction, instruction, Op } from './instruction.js';

/** The most that the kernel allows (MAX_BPF_STACK). */
const MAX_STACK = 512;
const WORD = 8;
const FRAME = 10;

/** Where the functions of a program begin, in order: those of the kernel's subprograms. The first is main. */
export function functionStarts(instructions: readonly Instruction[]): number[] {
  const starts = new Set([0]);
  forEachInstruction(instructions, (each, at) => {
    const reference = referenceOf(each, at);
    if (reference && reference.kind !== 'jump') starts.add(reference.target);
  });
  return [...starts].sort((a, b) => a - b);
}

/**
 * How many bytes of its stack each function seems to use, in the order of {@link functionStarts}; main
 * uses a word for the scope check. It reads from top to bottom, which finds what compilers write. The
 * kernel knows the truth: see {@link covers}.
 */
export function guessDepths(instructions: readonly Instruction[]): number[] {
  const starts = new Set(functionStarts(instructions));
  const depths: number[] = [];
  let lowest = 0;
  /** Distances of registers from the frame pointer. */
  let distances = new Map<number, number>();
  const use = (register: number, off: number): void => {
    const distance = distances.get(register);
    if (distance !== undefined) lowest = Math.min(lowest, distance + off);
  };
  forEachInstruction(instructions, (each, at) => {
    if (starts.has(at)) {
      if (at > 0) depths.push(depthOf(lowest));
      lowest = 0;
      distances = new Map([[FRAME, 0]]);
    }
    const kind = classOf(each);
    if (kind === Class.ldx) use(each.src, each.off);
    else if (kind === Class.st || kind === Class.stx) use(each.dst, each.off);
    else if (kind === Class.alu64) derive(each, distances);
    for (const register of distances.keys()) use(register, 0);
  });
  depths.push(depthOf(lowest));
  return depths.map((depth, i) => (i === 0 ? Math.max(depth, WORD) : depth));
}

/** What each function really uses, from the verifier's statistics (BPF_LOG_STATS); undefined if it does not say. */
export function depthsIn(log: string): number[] | undefined {
  const [, list] = /^stack depth (\d+(?:\+\d+)*)$/m.exec(log) ?? [];
  return list?.split('+').map((depth) => depthOf(-Number(depth)));
}

/** Whether a program that clears `cleared` bytes has none left of the `used` ones. */
export const covers = (cleared: readonly number[], used: readonly number[]): boolean =>
  cleared.length === used.length && used.every((depth, i) => depth <= (cleared[i] ?? 0));

const depthOf = (lowest: number): number => Math.min(Math.ceil(-lowest / WORD) * WORD, MAX_STACK);

function derive({ code, dst, src, imm }: Instruction, distances: Map<number, number>): void {
  const from = distances.get(code === Op.moveReg ? src : dst);
  if (dst === FRAME) return;
  if (code === Op.moveReg && from !== undefined) distances.set(dst, from);
  else if (code === Op.addImm && from !== undefined) distances.set(dst, from + imm);
  else distances.delete(dst);
}

/** Clears the topmost `depth` bytes of the stack. */
export const clearStack = (depth: number): Instruction[] =>
  Array.from({ length: Math.ceil(depth / WORD) }, (_, i) =>
    instruction(Op.storeLongImm, { dst: FRAME, off: -(i + 1) * WORD }),
  );
