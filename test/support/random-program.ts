/** Random programs that the verifier accepts: of type RAW_TRACEPOINT, so that BPF_PROG_TEST_RUN can run them. */
import fc from 'fast-check';
import { type Instruction, instruction, Op } from '../../src/program/instruction.js';
import type { Edits } from '../../src/program/rewrite.js';

/** Pieces of a function, before it is known where they are. */
type Item =
  | { readonly kind: 'plain'; readonly instructions: readonly Instruction[] }
  | {
      readonly kind: 'if';
      readonly test: Instruction;
      readonly taken: Block;
      readonly other: Block;
      readonly long: boolean;
    }
  | { readonly kind: 'loop'; readonly times: number; readonly body: Block }
  | { readonly kind: 'call'; readonly callee: number };
type Block = readonly Item[];

const FUNCTIONS = 3;
/** r9 counts loops. */
const register = fc.integer({ min: 0, max: 8 });
const number = fc.oneof(fc.integer({ min: -8, max: 8 }), fc.integer({ min: -0x80000000, max: 0x7fffffff }));
const operations = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0xa0, 0xb0];
const conditions = [0x10, 0x20, 0x40, 0x50, 0x60, 0xa0];

const operation = fc
  .record({
    op: fc.constantFrom(...operations),
    wide: fc.boolean(),
    byRegister: fc.boolean(),
    dst: register,
    src: register,
    imm: number,
  })
  .map(({ op, wide, byRegister, dst, src, imm }) =>
    byRegister
      ? instruction(op | 8 | (wide ? 7 : 4), { dst, src })
      : instruction(op | (wide ? 7 : 4), { dst, imm: op === 0x30 ? imm || 1 : imm }),
  );

const load64 = fc
  .record({ dst: register, low: number, high: number })
  .map(({ dst, low, high }) => [instruction(Op.loadImm64, { dst, imm: low }), instruction(0, { imm: high })]);

const plain = fc
  .oneof({ weight: 5, arbitrary: operation.map((each) => [each]) }, { weight: 1, arbitrary: load64 })
  .map((instructions): Item => ({ kind: 'plain', instructions }));

const test = fc
  .record({ op: fc.constantFrom(...conditions), wide: fc.boolean(), dst: register, imm: number })
  .map(({ op, wide, dst, imm }) => instruction(op | (wide ? 5 : 6), { dst, imm }));

function block(depth: number, self: number, mayLoop: boolean): fc.Arbitrary<Block> {
  const items: fc.WeightedArbitrary<Item>[] = [{ weight: 6, arbitrary: plain }];
  if (self + 1 < FUNCTIONS) {
    const callee = fc.integer({ min: self + 1, max: FUNCTIONS - 1 });
    items.push({ weight: 1, arbitrary: callee.map((each): Item => ({ kind: 'call', callee: each })) });
  }
  if (depth > 0) {
    const inner = block(depth - 1, self, mayLoop);
    const branch = fc.record({ test, taken: inner, other: inner, long: fc.boolean() });
    items.push({ weight: 2, arbitrary: branch.map((each): Item => ({ kind: 'if', ...each })) });
    if (mayLoop) {
      const loop = fc.record({ times: fc.integer({ min: 1, max: 3 }), body: block(depth - 1, self, false) });
      items.push({ weight: 1, arbitrary: loop.map((each): Item => ({ kind: 'loop', ...each })) });
    }
  }
  return fc.array(fc.oneof(...items), { maxLength: 5 });
}

const functions = fc.tuple(block(2, 0, true), block(1, 1, true), block(1, 2, true));

/** @param hasLongJumps whether the kernel knows "gotol" (6.6) */
export const programs = (hasLongJumps: boolean): fc.Arbitrary<Instruction[]> =>
  functions.map((blocks) => assemble(blocks, hasLongJumps));

/** Lays functions out. A function that nobody calls is left out: the verifier refuses what cannot be reached. */
function assemble(blocks: readonly Block[], hasLongJumps: boolean): Instruction[] {
  const called = new Set([0]);
  for (let i = 0; i < blocks.length; i++)
    if (called.has(i)) for (const each of calls(blocks[i] ?? [])) called.add(each);
  const all: Instruction[] = [];
  const starts = new Map<number, number>();
  const open: Array<{ at: number; callee: number }> = [];
  blocks.forEach((each, i) => {
    if (!called.has(i)) return;
    starts.set(i, all.length);
    // Main gets its numbers from the context, functions from their arguments.
    if (i === 0) for (let r = 2; r <= 8; r++) all.push(instruction(Op.loadLong, { dst: r, src: 1, off: (r - 2) * 8 }));
    const first = i === 0 ? [0, 1] : [0, 6, 7, 8];
    for (const r of first) all.push(instruction(Op.moveReg, { dst: r, src: 2 }));
    emit(each);
    all.push(instruction(Op.exit));
  });
  return all.map((each, at) => {
    const call = open.find((one) => one.at === at);
    return call ? { ...each, imm: (starts.get(call.callee) ?? 0) - at - 1 } : each;
  });

  function emit(items: Block): void {
    for (const item of items) {
      if (item.kind === 'plain') {
        all.push(...item.instructions);
      } else if (item.kind === 'call') {
        open.push({ at: all.length, callee: item.callee });
        all.push(instruction(Op.call, { src: 1 }));
        for (let r = 1; r <= 5; r++) all.push(instruction(Op.moveReg, { dst: r, src: 0 }));
      } else if (item.kind === 'loop') {
        all.push(instruction(Op.moveImm, { dst: 9, imm: item.times }));
        const start = all.length;
        emit(item.body);
        all.push(instruction(Op.addImm, { dst: 9, imm: -1 }));
        all.push(instruction(0x55, { dst: 9, off: start - all.length - 1 }));
      } else {
        const testAt = all.push(item.test) - 1;
        emit(item.other);
        const long = item.long && hasLongJumps;
        const jumpAt = all.push(instruction(long ? Op.jumpLong : Op.jump)) - 1;
        all[testAt] = { ...item.test, off: all.length - testAt - 1 };
        emit(item.taken);
        const distance = all.length - jumpAt - 1;
        all[jumpAt] = instruction(long ? Op.jumpLong : Op.jump, long ? { imm: distance } : { off: distance });
      }
    }
  }
}

function calls(items: Block): number[] {
  return items.flatMap((item) => {
    if (item.kind === 'call') return [item.callee];
    if (item.kind === 'if') return [...calls(item.taken), ...calls(item.other)];
    return item.kind === 'loop' ? calls(item.body) : [];
  });
}

/** A jump to the next instruction: it does nothing. */
export const NOTHING = instruction(Op.jump);

/** Edits of a program that change nothing that it computes. */
export const harmlessEdits: fc.Arbitrary<Edits> = fc
  .array(fc.record({ at: fc.nat(100), times: fc.integer({ min: 1, max: 4 }) }), { maxLength: 12 })
  .map((all) => new Map(all.map(({ at, times }) => [at, { before: Array.from({ length: times }, () => NOTHING) }])));

/** Numbers for the context. */
export const contexts: fc.Arbitrary<bigint[]> = fc.array(fc.oneof(fc.bigInt(0n, 9n), fc.bigInt(0n, 2n ** 64n - 1n)), {
  minLength: 7,
  maxLength: 7,
});
