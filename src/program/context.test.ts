import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Code } from './code.js';
import { contextUse, readOfMapStructure, usesContext } from './context.js';
import { type Instruction, instruction, loadMap, Op } from './instruction.js';

const exit = instruction(Op.exit);
const move = (dst: number, src: number): Instruction => instruction(Op.moveReg, { dst, src });
const load = (dst: number, src: number, off = 0): Instruction => instruction(Op.loadLong, { dst, src, off });
const store = (dst: number, src: number, off = -8): Instruction => instruction(0x7b, { dst, src, off });
/** dst = *(src + off), or an exchange with it, by `operation`. */
const atomic = (operation: number, dst: number, src: number): Instruction =>
  instruction(0xdb, { dst, src, imm: operation });
const LOAD_ACQUIRE = 0x100;
const loadFunction = (dst: number, imm: number): Instruction[] => [
  instruction(Op.loadImm64, { dst, src: 4, imm }),
  instruction(0),
];
const callFunction = (imm: number): Instruction => instruction(Op.call, { src: 1, imm });

describe('a program uses its context', () => {
  const users: ReadonlyArray<readonly [how: string, program: Instruction[]]> = [
    ['by a load', [load(0, 1), exit]],
    ['by a store', [store(1, 0, 0), exit]],
    ['after moving it', [move(6, 1), move(7, 6), load(0, 7), exit]],
    ['after adding to it', [instruction(Op.addImm, { dst: 1, imm: 8 }), load(0, 1), exit]],
    [
      'after adding it to a number',
      [instruction(Op.moveImm, { dst: 2 }), instruction(0x0f, { dst: 2, src: 1 }), load(0, 2), exit],
    ],
    ['after keeping it on the stack', [store(10, 1), load(3, 10, -8), load(0, 3), exit]],
    ['behind a jump', [instruction(0x15, { dst: 2, off: 1 }), exit, load(0, 1), exit]],
    ['behind a jump back', [instruction(Op.jump, { off: 2 }), load(0, 1), exit, instruction(Op.jump, { off: -3 })]],
    ['in a function', [callFunction(1), exit, load(0, 1), exit]],
    ['in a function, by another argument', [move(3, 1), callFunction(1), exit, load(0, 3), exit]],
    ['that a function gives back', [callFunction(2), load(0, 0), exit, move(0, 1), exit]],
    ['by an atomic load', [atomic(LOAD_ACQUIRE, 0, 1), exit]],
    [
      'in a function, from the stack of its caller',
      [store(10, 1), move(2, 10), callFunction(1), exit, load(3, 2, -8), load(0, 3), exit],
    ],
    [
      'in a callback, from the stack of its caller',
      [store(10, 1), ...loadFunction(2, 3), instruction(Op.call, { imm: 181 }), exit, load(2, 2, -8), load(0, 2), exit],
    ],
  ];
  for (const [how, program] of users) test(how, () => assert.equal(usesContext(Code.of(program)), true));
});

describe('a program does not use its context', () => {
  const others: ReadonlyArray<readonly [how: string, program: Instruction[]]> = [
    [
      'if it only passes it to a helper',
      [move(6, 1), instruction(Op.call, { imm: 25 }), move(1, 6), instruction(Op.call, { imm: 25 }), exit],
    ],
    ['if something else is in the register by then', [move(1, 10), load(0, 1, -8), exit]],
    ['if a call came between', [instruction(Op.call, { imm: 5 }), load(0, 1), exit]],
    ['if it reads what a helper returned', [instruction(Op.call, { imm: 1 }), load(0, 0), exit]],
    ['if it keeps it in one word, and reads another', [store(10, 1), load(3, 10, -16), load(0, 3), exit]],
    ['if something else is in its word by then', [store(10, 1), store(10, 0), load(3, 10, -8), load(0, 3), exit]],
    [
      'if it changes a value of a map, while the context is on the stack',
      [store(10, 1), instruction(Op.call, { imm: 1 }), store(10, 0, -16), load(2, 10, -16), store(2, 3, 0), exit],
    ],
    ['if it reads its stack, on which it is not', [load(3, 10, -8), load(0, 3), exit]],
  ];
  for (const [how, program] of others) test(how, () => assert.equal(usesContext(Code.of(program)), false));
});

describe('a program writes to its context', () => {
  const writes = (...program: Instruction[]): boolean => contextUse(Code.of(program)).writes;

  test('not by reading it', () => assert.equal(writes(load(0, 1), exit), false));
  test('by a store', () => assert.equal(writes(store(1, 0, 0), exit), true));
  test('by a store of a constant', () => {
    assert.equal(writes(instruction(0x62, { dst: 1 }), exit), true);
  });
  test('after keeping it on the stack', () => {
    assert.equal(writes(store(10, 1), load(3, 10, -8), store(3, 0, 0), exit), true);
    assert.equal(writes(store(10, 1), load(3, 10, -8), load(0, 3), exit), false);
  });
  test('by an atomic instruction', () => {
    assert.equal(writes(instruction(0xdb, { dst: 1, src: 2 }), exit), true);
  });
  test('after an exchange with the stack', () => {
    const exchange = instruction(0xdb, { dst: 2, src: 1, off: -8, imm: 0xe1 });
    assert.equal(writes(move(2, 10), exchange, load(3, 10, -8), store(3, 0, 0), exit), true);
  });
});

/**
 * Straight programs that move the pointer about, and a simple machine that runs them: each place has
 * the context, a pointer to the frame with its distance, or nothing of interest.
 */
describe('whatever a program does with the pointer', () => {
  type Value = 'context' | number | undefined;
  const register = fc.integer({ min: 1, max: 3 });
  const source = fc.constantFrom(1, 2, 3, 10);
  const word = fc.constantFrom(-8, 0);
  const step = fc.oneof(
    fc.tuple(register, source).map(([dst, src]) => move(dst, src)),
    fc.tuple(register, word).map(([dst, imm]) => instruction(Op.addImm, { dst, imm })),
    fc.tuple(register, source, word).map(([dst, src, off]) => load(dst, src, off)),
    fc.tuple(source, register, word).map(([dst, src, off]) => store(dst, src, off)),
    register.map((dst) => instruction(Op.moveImm, { dst })),
  );

  /** Leaves out what no verifier lets pass, and says what the rest does. */
  function run(steps: readonly Instruction[]): { program: Instruction[]; reads: boolean; writes: boolean } {
    const registers: Value[] = Array.from({ length: 11 });
    const frame = new Map<number, Value>();
    const result = { program: [] as Instruction[], reads: false, writes: false };
    registers[1] = 'context';
    registers[10] = 0;
    for (const each of steps) {
      const { code, dst, src, off, imm } = each;
      const [to, from] = [registers[dst], registers[src]];
      const isMemory = code === Op.loadLong || code === 0x7b;
      const base = code === Op.loadLong ? from : isMemory ? to : 0;
      if (base === undefined || (isMemory && typeof base === 'number' && base + off > -8)) continue;
      result.program.push(each);
      if (code === Op.moveReg) registers[dst] = from;
      else if (code === Op.moveImm) registers[dst] = undefined;
      else if (code === Op.addImm) registers[dst] = typeof to === 'number' ? to + imm : to;
      else if (code === Op.loadLong) {
        if (base === 'context') result.reads = true;
        registers[dst] = base === 'context' ? undefined : frame.get(base + off);
      } else if (base === 'context') result.writes = true;
      else frame.set(base + off, from);
    }
    return result;
  }

  test('no use of the context is missed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const real = run([move(2, 10), ...steps]);
        const found = contextUse(Code.of([...real.program, exit]));
        assert.ok(found.reads || !real.reads);
        assert.ok(found.writes || !real.writes);
      }),
      { numRuns: 3000 },
    );
  });
});

describe("a program reads the kernel's structure of a map", () => {
  const callHelper = (imm: number): Instruction => instruction(Op.call, { imm });
  const readers: ReadonlyArray<readonly [how: string, at: number, program: Instruction[]]> = [
    ['by a load', 2, [...loadMap(3, 7), load(0, 3), exit]],
    ['by an index of fd_array', 2, [instruction(Op.loadImm64, { dst: 3, src: 5 }), instruction(0), load(0, 3), exit]],
    ['by an atomic load', 2, [...loadMap(3, 7), atomic(LOAD_ACQUIRE, 0, 3), exit]],
    ['in a function that it is passed to', 4, [...loadMap(1, 7), callFunction(1), exit, load(0, 1), exit]],
    ['that a function gives back', 1, [callFunction(2), load(0, 0), exit, ...loadMap(0, 7), exit]],
    ['in a callback, which is handed it', 4, [...loadFunction(2, 3), callHelper(164), exit, load(0, 1), exit]],
    ['after keeping it on the stack', 4, [...loadMap(3, 7), store(10, 3), load(4, 10, -8), load(0, 4), exit]],
    ['in a register that calls preserve', 3, [...loadMap(6, 7), callFunction(2), load(0, 6), exit, move(0, 10), exit]],
  ];
  for (const [how, at, program] of readers) test(how, () => assert.equal(readOfMapStructure(Code.of(program)), at));

  const others: ReadonlyArray<readonly [how: string, program: Instruction[]]> = [
    ['not by reading a value that it looked up', [...loadMap(1, 7), callHelper(1), load(0, 0), exit]],
    [
      'not by reading a global variable',
      [instruction(Op.loadImm64, { dst: 3, src: 2 }), instruction(0), load(0, 3), exit],
    ],
    ['not by reading its context or its stack', [...loadMap(2, 7), load(3, 1), load(0, 10, -8), exit]],
    [
      'not by reading what a function gives back that only uses the map',
      [callFunction(2), load(0, 0), exit, ...loadMap(1, 7), callHelper(1), exit],
    ],
  ];
  for (const [how, program] of others) test(how, () => assert.equal(readOfMapStructure(Code.of(program)), undefined));
});

test('a program of the largest size is followed to its end', () => {
  const program = Array.from({ length: 999_998 }, (_, i) => move(2 + (i % 4), 1 + (i % 4)));
  assert.equal(usesContext(Code.of([...program, exit])), false);
  assert.equal(usesContext(Code.of([...program, load(0, 2), exit])), true);
});
