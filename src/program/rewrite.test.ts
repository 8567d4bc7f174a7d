import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { run } from '../../test/support/interpreter.js';
import { contexts, harmlessEdits, NOTHING, programs } from '../../test/support/random-program.js';
import { checkForm, forEachInstruction, referenceOf } from './flow.js';
import { decode, encode, type Instruction, instruction, Op, ProgramError } from './instruction.js';
import { type Edits, NO_RECORDS, type Program, type Records, rewrite } from './rewrite.js';

const bare = (instructions: readonly Instruction[]): Program => ({
  instructions,
  functions: NO_RECORDS,
  lines: NO_RECORDS,
  relocations: NO_RECORDS,
});

/** Slots where an instruction begins. */
function beginnings(instructions: readonly Instruction[]): number[] {
  const found: number[] = [];
  forEachInstruction(instructions, (_, at) => found.push(at));
  return found;
}

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
  test('are the same after encoding and decoding', () => {
    fc.assert(fc.property(anyBytes, (all) => assert.deepEqual(decode(encode(all)), all)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        if (bytes.length % 8 === 0) assert.deepEqual(encode(decode(bytes)), bytes);
        else assert.throws(() => decode(bytes), ProgramError);
      }),
    );
  });
});

describe('a rewritten program', () => {
  test('computes what it did, wherever instructions that do nothing are put', () => {
    fc.assert(
      fc.property(programs(true), harmlessEdits, fc.nat(3), contexts, (program, edits, length, context) => {
        const prologue = Array.from({ length }, () => NOTHING);
        const { instructions } = rewrite(bare(program), edits, prologue);
        assert.equal(run(instructions, context), run(program, context));
      }),
      { numRuns: 1000 },
    );
  });

  test('is what it was if nothing is put in, and twice is once', () => {
    fc.assert(
      fc.property(programs(true), fc.nat(1000), (program, pick) => {
        assert.deepEqual(rewrite(bare(program), new Map()).instructions, program);
        const begins = beginnings(program);
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
        const begins = beginnings(program);
        const marked = program.map((each, at) => ({ ...each, mark: at }));
        const input: Program = {
          instructions: marked,
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
        const markAt = (slot: number): unknown => (output.instructions[slot] as { mark?: number } | undefined)?.mark;
        assert.deepEqual(
          places(output.relocations).map((place) => markAt(place / 8)),
          begins,
        );
        places(output.lines).forEach((place, i) => {
          const at = begins[i] ?? 0;
          const inFront = valid.get(at)?.before?.length ?? 0;
          if (at === 0) assert.equal(place, 0);
          else assert.equal(markAt(place + inFront), at);
        });
        assert.deepEqual(places(output.functions), places(output.lines));
        assert.equal(output.lines.bytes[4], 0xaa, 'the rest of a record stays');
      }),
    );
  });

  test('has no way into its prologue, nor past what stands in front of an instruction', () => {
    const prologue = [instruction(Op.moveImm, { imm: 11 }), instruction(Op.exit)];
    const guard = [instruction(Op.moveImm, { imm: 22 }), instruction(Op.moveImm, { imm: 33 })];
    let whole = 0;
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat(12)), (random, guarded) => {
        const program = [...random, instruction(Op.exit)];
        try {
          checkForm(program);
        } catch (error) {
          assert.ok(error instanceof ProgramError);
          return;
        }
        whole++;
        const begins = beginnings(program);
        const edits: Edits = new Map(guarded.filter((at) => begins.includes(at)).map((at) => [at, { before: guard }]));
        const { instructions } = rewrite(bare(program), edits, prologue);
        const forbidden = new Set<number>([0, 1]);
        instructions.forEach((each, at) => {
          if (each === guard[1]) forbidden.add(at).add(at + 1);
        });
        forEachInstruction(instructions, (each, at) => {
          const target = referenceOf(each, at)?.target;
          assert.ok(target === undefined || !forbidden.has(target), `${at} leads to ${target}`);
        });
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
    assert.equal(rewrite(bare(far), new Map()).instructions.length, far.length);
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
    const { instructions, functions, lines } = rewrite({ ...bare(program), functions: places, lines: places }, edits);
    assert.deepEqual(instructions, [
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
    test(`${what} is refused`, () => assert.throws(() => checkForm(program), why));
  }
});
