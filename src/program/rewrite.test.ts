import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { beginningsOf, listOf } from '../../test/support/code.js';
import { run } from '../../test/support/interpreter.js';
import { contexts, harmlessEdits, NOTHING, programs } from '../../test/support/random-program.js';
import { Code } from './code.js';
import { checkForm, referencesIn } from './flow.js';
import { type Instruction, instruction, Op, ProgramError } from './instruction.js';
import { type Edits, NO_RECORDS, type Program, type Records, rewrite } from './rewrite.js';

const bare = (instructions: readonly Instruction[]): Program => ({
  code: Code.of(instructions),
  functions: NO_RECORDS,
  lines: NO_RECORDS,
  relocations: NO_RECORDS,
});

function records(places: readonly number[], size: number): Records {
  const bytes = new Uint8Array(places.length * size).fill(0xaa);
  const view = new DataView(bytes.buffer);
  places.forEach((place, i) => {
    view.setUint32(i * size, place, true);
  });
  return { bytes, size };
}

function places({ bytes, size }: Records): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: bytes.length / size }, (_, i) => view.getUint32(i * size, true));
}

/** Apart from the distance to what it refers to. */
const isTheSame = (a: Instruction, b: Instruction | undefined): boolean =>
  a.code === b?.code && a.dst === b.dst && a.src === b.src;

const anyBytes = fc
  .array(
    fc.record({
      code: fc.oneof(fc.constantFrom(0x18, 0x05, 0x06, 0x85, 0x95, 0xb7, 0x15, 0x00), fc.nat(255)),
      registers: fc.oneof(fc.constantFrom(0, 0x10, 0x40), fc.nat(255)),
      off: fc.integer({ min: -12, max: 12 }),
      imm: fc.oneof(fc.integer({ min: -12, max: 12 }), fc.integer({ min: -0x80000000, max: 0x7fffffff })),
    }),
    { maxLength: 12 },
  )
  .map((all) =>
    all.map(({ code, registers, off, imm }) => ({ code, dst: registers & 15, src: registers >> 4, off, imm })),
  );

describe('instructions', () => {
  test('are the same after writing and reading', () => {
    fc.assert(fc.property(anyBytes, (all) => assert.deepEqual(listOf(Code.of(all)), all)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        if (bytes.length % 8 === 0) assert.deepEqual(Code.of(listOf(Code.read(bytes))).bytes, bytes);
        else assert.throws(() => Code.read(bytes), ProgramError);
      }),
    );
  });
});

describe('code with other instructions in some slots', () => {
  test('has these there, and the rest as it was', () => {
    const code = Code.of([instruction(Op.moveImm), instruction(Op.moveImm, { imm: 5 }), instruction(Op.exit)]);
    const other = instruction(Op.call, { src: 1, off: -1, imm: -2 });
    assert.deepEqual(listOf(code.with(new Map([[1, other]]))), [instruction(Op.moveImm), other, instruction(Op.exit)]);
    assert.equal(code.imm(1), 5);
  });
});

describe('a rewritten program', () => {
  test('computes what it did, wherever instructions that do nothing are put', () => {
    fc.assert(
      fc.property(programs(true), harmlessEdits, fc.nat(3), contexts, (program, edits, length, context) => {
        const prologue = Array.from({ length }, () => NOTHING);
        const { code } = rewrite(bare(program), edits, prologue);
        assert.equal(run(listOf(code), context), run(program, context));
      }),
      { numRuns: 1000 },
    );
  });

  test('is what it was if nothing is put in, and twice is once', () => {
    fc.assert(
      fc.property(programs(true), fc.nat(1000), (program, pick) => {
        assert.deepEqual(listOf(rewrite(bare(program), new Map()).code), program);
        const begins = beginningsOf(Code.of(program));
        const at = begins[pick % begins.length] ?? 0;
        const once = rewrite(bare(program), new Map([[at, { before: [NOTHING, NOTHING] }]]));
        const first = rewrite(bare(program), new Map([[at, { before: [NOTHING] }]]));
        assert.deepEqual(rewrite(first, new Map([[at, { before: [NOTHING] }]])), once);
      }),
    );
  });

  test('keeps functions, lines and relocations at their instructions', () => {
    fc.assert(
      fc.property(programs(true), harmlessEdits, fc.nat(3), (program, edits, length) => {
        const begins = beginningsOf(Code.of(program));
        const input: Program = {
          code: Code.of(program),
          functions: records(begins, 8),
          lines: records(begins, 16),
          relocations: records(
            begins.map((at) => at * 8),
            16,
          ),
        };
        const valid: Edits = new Map([...edits].filter(([at]) => begins.includes(at)));
        const output = rewrite(
          input,
          valid,
          Array.from({ length }, () => NOTHING),
        );
        const isAt = (slot: number, at: number): boolean => isTheSame(output.code.at(slot), program[at]);
        const moved = places(output.relocations).map((place) => place / 8);
        assert.ok(moved.every((slot, i) => isAt(slot, begins[i] ?? 0)));
        // Each is as far on as what was put in front of it and of those before.
        const inFrontOf = (at: number): number =>
          begins
            .filter((each) => each <= at)
            .reduce((sum, each) => sum + (valid.get(each)?.before?.length ?? 0), length);
        assert.deepEqual(
          moved,
          begins.map((at) => at + inFrontOf(at)),
        );
        places(output.lines).forEach((place, i) => {
          const at = begins[i] ?? 0;
          const inFront = valid.get(at)?.before?.length ?? 0;
          if (at === 0) assert.equal(place, 0);
          else assert.equal(place + inFront, moved[i]);
        });
        assert.deepEqual(places(output.functions), places(output.lines));
        assert.equal(output.lines.bytes[4], 0xaa, 'the rest of a record stays');
      }),
    );
  });

  test('has no way into its prologue, nor past what stands in front of an instruction', () => {
    const prologue = [instruction(Op.moveImm, { imm: 11 }), instruction(Op.exit)];
    const guard = [instruction(Op.moveImm, { imm: 22 }), instruction(Op.moveImm, { imm: 33_333 })];
    const isGuard = ({ code, imm }: Instruction): boolean => code === Op.moveImm && imm === guard[1]?.imm;
    let whole = 0;
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat(12)), (random, guarded) => {
        const program = [...random, instruction(Op.exit)];
        if (random.some(isGuard)) return;
        try {
          checkForm(Code.of(program));
        } catch (error) {
          assert.ok(error instanceof ProgramError);
          return;
        }
        whole++;
        const begins = beginningsOf(Code.of(program));
        const edits: Edits = new Map(guarded.filter((at) => begins.includes(at)).map((at) => [at, { before: guard }]));
        const { code } = rewrite(bare(program), edits, prologue);
        const forbidden = new Set<number>([0, 1]);
        for (const at of beginningsOf(code)) {
          if (isGuard(code.at(at))) forbidden.add(at).add(at + 1);
        }
        for (const { at, target } of referencesIn(code)) {
          assert.ok(!forbidden.has(target), `${at} leads to ${target}`);
        }
      }),
      { numRuns: 20_000 },
    );
    assert.ok(whole > 1000, `${whole} well formed programs are too few`);
  });

  test('is refused where a jump no longer reaches', () => {
    const far = [
      instruction(0x15, { off: 0x7fff }),
      ...Array.from({ length: 0x8000 }, () => NOTHING),
      instruction(Op.exit),
    ];
    assert.equal(rewrite(bare(far), new Map()).code.length, far.length);
    assert.throws(() => rewrite(bare(far), new Map([[5, { before: [NOTHING] }]])), /too far/);
  });

  test('may have no records, of whatever size', () => {
    const none = { bytes: new Uint8Array(0), size: 0 };
    const program = { ...bare([instruction(Op.exit)]), functions: none, lines: none, relocations: none };
    assert.deepEqual(rewrite(program, new Map(), [NOTHING]).functions, none);
  });

  test('leaves records about nothing outside of the program', () => {
    const program = {
      ...bare([instruction(Op.moveImm), instruction(Op.exit)]),
      relocations: records([16, 0xfffffff8], 16),
    };
    assert.deepEqual(places(rewrite(program, new Map(), [NOTHING, NOTHING]).relocations), [0xffffffff, 0xffffffff]);
  });
});

describe('what is put in front of a function', () => {
  test('is where calls, callbacks, records of functions and of lines lead; jumps lead behind it', () => {
    const call = instruction(Op.call, { src: 1, imm: 1 });
    const back = instruction(Op.jump, { off: -2 });
    const program = [call, instruction(Op.exit), instruction(Op.moveImm), back];
    const edits: Edits = new Map([[2, { entry: [NOTHING, NOTHING], before: [NOTHING] }]]);
    const places = { bytes: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0), size: 8 };
    const { code, functions, lines } = rewrite({ ...bare(program), functions: places, lines: places }, edits);
    assert.deepEqual(listOf(code), [
      call,
      instruction(Op.exit),
      NOTHING,
      NOTHING,
      NOTHING,
      instruction(Op.moveImm),
      { ...back, off: -3 },
    ]);
    assert.equal(functions.bytes[0], 2);
    assert.equal(lines.bytes[0], 2);
  });
});

describe('the form of a program', () => {
  const refusals: ReadonlyArray<readonly [what: string, program: Instruction[], why: RegExp]> = [
    ['nothing', [], /the last one/],
    ['running into the end', [instruction(Op.moveImm)], /the last one/],
    ['a jump before its start', [instruction(Op.jump, { off: -2 }), instruction(Op.exit)], /out of the program/],
    ['a jump behind its end', [instruction(Op.jump, { off: 1 }), instruction(Op.exit)], /out of the program/],
    ['half a load', [instruction(Op.loadImm64)], /second half/],
    [
      'an instruction in the second half of a load',
      [instruction(Op.loadImm64), instruction(Op.exit)],
      /something else/,
    ],
    [
      'a jump into a load',
      [instruction(Op.jump, { off: 1 }), instruction(Op.loadImm64), instruction(0)],
      /into the middle/,
    ],
    ['a jump through a register', [instruction(0x0d), instruction(Op.exit)], /unknown opcode 0xd/],
    ['a call through a register', [instruction(0x8d), instruction(Op.exit)], /unknown opcode 0x8d/],
    ['a packet load', [instruction(0x20), instruction(Op.exit)], /unknown opcode 0x20/],
    ['a cast of address spaces', [instruction(Op.moveReg, { off: 1 }), instruction(Op.exit)], /unknown opcode/],
    ['register 11', [instruction(Op.moveReg, { src: 11 }), instruction(Op.exit)], /unknown opcode/],
  ];
  for (const [what, program, why] of refusals) {
    test(`${what} is refused`, () => assert.throws(() => checkForm(Code.of(program)), why));
  }
});
