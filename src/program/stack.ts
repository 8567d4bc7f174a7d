/**
 * The stack of a program. The verifier lets a privileged program read what it has not written: what
 * the kernel left there. So each function begins by clearing as much of the stack as it uses.
 */
import type { Code } from './code.js';
import { referencesIn, slotsOf } from './flow.js';
import { Class, classOf, type Instruction, instruction, Op } from './instruction.js';

/** The most that the kernel allows (MAX_BPF_STACK). */
const MAX_STACK = 512;
const WORD = 8;
const FRAME = 10;

/** Where the functions of a program begin, in order: those of the kernel's subprograms. The first is main. */
export function functionStarts(code: Code): number[] {
  const starts = new Set([0]);
  for (const { kind, target } of referencesIn(code)) if (kind !== 'jump') starts.add(target);
  return [...starts].sort((a, b) => a - b);
}

/**
 * How many bytes of its stack each function seems to use, in the order of {@link functionStarts}; main
 * uses a word for the scope check. It reads from top to bottom, which finds what compilers write. The
 * kernel knows the truth: see {@link covers}.
 */
export function guessDepths(code: Code): number[] {
  const starts = functionStarts(code);
  const depths: number[] = [];
  let lowest = 0;
  let distances: Distances = [];
  const use = (register: number, off: number): void => {
    const distance = distances[register];
    if (distance !== undefined && distance + off < lowest) lowest = distance + off;
  };
  let begun = 0;
  for (let at = 0; at < code.length; at += slotsOf(code.opcode(at))) {
    if (at === starts[begun]) {
      if (at > 0) depths.push(depthOf(lowest));
      lowest = 0;
      distances = nothingBut(FRAME);
      begun++;
    }
    const kind = classOf(code.opcode(at));
    if (kind === Class.ldx) use(code.src(at), code.off(at));
    else if (kind === Class.st || kind === Class.stx) use(code.dst(at), code.off(at));
    else if (kind === Class.alu64) {
      derive(code, at, distances);
      use(code.dst(at), 0);
    }
  }
  depths.push(depthOf(lowest));
  return depths.map((depth, i) => (i === 0 ? Math.max(depth, WORD) : depth));
}

/**
 * At the end of the log, before its last line: further up may stand what the program brings along, names and
 * lines of source. Newer kernels tell a sum too, and Linux 7.3 tells the depths in a line for each function.
 */
const STATISTICS = new RegExp(
  [
    /^(?:verification time \d+ usec\n)?stack depth /,
    /(?:(\d+(?:\+\d+)*)(?: max \d+)?\n|max \d+\n((?:subprog \d+ .* stack \d+\n)+))/,
    /(?=processed .*\n?\0?(?![\s\S]))/,
  ]
    .map(({ source }) => source)
    .join(''),
  'gm',
);

/** What each function really uses, from the verifier's statistics (BPF_LOG_STATS); undefined if it does not say. */
export function depthsIn(log: string): number[] | undefined {
  const [, list, lines] = [...log.matchAll(STATISTICS)].at(-1) ?? [];
  const depths = list?.split('+') ?? lines?.match(/\d+$/gm);
  return depths?.map((depth) => depthOf(-Number(depth)));
}

/** The log as it would be if these had not been asked for. */
export function withoutStatistics(log: string): string {
  const last = [...log.matchAll(STATISTICS)].at(-1);
  return last ? log.slice(0, last.index) + log.slice(last.index + last[0].length) : log;
}

/** Whether a program that clears `cleared` bytes has none left of the `used` ones. */
export const covers = (cleared: readonly number[], used: readonly number[]): boolean =>
  cleared.length === used.length && used.every((depth, i) => depth <= (cleared[i] ?? 0));

const depthOf = (lowest: number): number => Math.min(Math.ceil(-lowest / WORD) * WORD, MAX_STACK);

/** Of registers from the frame pointer, by register. */
type Distances = (number | undefined)[];

const nothingBut = (register: number): Distances =>
  Array.from({ length: 11 }, (_, i) => (i === register ? 0 : undefined));

function derive(code: Code, at: number, distances: Distances): void {
  const dst = code.dst(at);
  if (dst === FRAME) return;
  const opcode = code.opcode(at);
  const isMove = opcode === Op.moveReg;
  const from = distances[isMove ? code.src(at) : dst];
  if (from === undefined || isMove) distances[dst] = from;
  else distances[dst] = opcode === Op.addImm ? from + code.imm(at) : undefined;
}

/** Clears the topmost `depth` bytes of the stack. */
export const clearStack = (depth: number): Instruction[] =>
  Array.from({ length: Math.ceil(depth / WORD) }, (_, i) =>
    instruction(Op.storeLongImm, { dst: FRAME, off: -(i + 1) * WORD }),
  );
