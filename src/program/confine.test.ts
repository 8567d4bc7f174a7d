import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { beginningsOf, listOf } from '../../test/support/code.js';
import { kernel, scope } from '../../test/support/confinement.js';
import {
  describe as describeRefusal,
  type Kind,
  refuseInstructions,
  refuseKind,
  TracingType,
  UPROBE_MULTI,
} from './check.js';
import { Code } from './code.js';
import { confine, filter } from './confine.js';
import { checkForm, referenceAt, referencesIn } from './flow.js';
import { helper, helpers } from './helpers.js';
import { callHelper, type Instruction, instruction, Op } from './instruction.js';
import { NO_RECORDS, type Program } from './rewrite.js';

const tracepoint: Kind = { type: TracingType.tracepoint, attachType: 0 };
const rawTracepoint: Kind = { type: TracingType.rawTracepoint, attachType: 0 };
const perfEvent: Kind = { type: TracingType.perfEvent, attachType: 0 };
const bare = (...instructions: Instruction[]): Program => ({
  code: Code.of(instructions),
  functions: NO_RECORDS,
  lines: NO_RECORDS,
  relocations: NO_RECORDS,
});
const exit = instruction(Op.exit);
const zero = instruction(Op.moveImm);

/** The guest's part of a confined program that began with these instructions. */
function body(kind: Kind, ...instructions: Instruction[]): Instruction[] {
  const prologue = filter(bare(exit), tracepoint, scope).code.length - 1;
  return listOf(confine(bare(...instructions), kind, scope, kernel, []).code).slice(prologue);
}

describe('the list of helpers', () => {
  test("has the kernel's names and ids, each once", () => {
    const header = readFileSync('/usr/include/linux/bpf.h', 'utf8');
    const mapper = header.slice(header.indexOf('BPF_FUNC_MAPPER'));
    // 6.0's header lists names in order; later ones give the number too.
    const names = [...mapper.matchAll(/\bFN\((\w+)(?:, (\d+),[^)]*)?\)/g)].map(([, name, id], i) => [
      Number(id ?? i),
      name,
    ]);
    const known = new Map(names as Array<[number, string]>);
    for (const { id, name } of helpers) if (known.has(id)) assert.equal(name, known.get(id), `helper ${id}`);
    assert.equal(new Set(helpers.map(({ id }) => id)).size, helpers.length);
    assert.ok(known.size > 200);
  });

  test('refuses what it does not know', () => {
    for (const id of [0, -1, 9, 212, 100_000, 999_999]) assert.equal(helper(id).verdict, 'refused');
  });
});

describe('code that is for another kernel', () => {
  test('is left to the verifier, which refuses it where it is reached', () => {
    for (const id of [0xbad2310, 2_001_000_000]) {
      assert.equal(refuseInstructions(tracepoint, Code.of([zero, callHelper(id), exit])), undefined);
    }
  });
});

describe('a program for tracing=own', () => {
  test('is one of the types whose context is of the current task', () => {
    assert.equal(refuseKind(tracepoint), undefined);
    assert.equal(refuseKind(perfEvent), undefined);
    assert.equal(refuseKind({ type: TracingType.kprobe, attachType: 0 }), undefined);
    assert.equal(refuseKind(rawTracepoint), undefined);
    const others = [24, 26, 27, 28, 29].map((type) => ({ type, attachType: 0 }));
    // KPROBE_MULTI, UPROBE_MULTI, KPROBE_SESSION, UPROBE_SESSION
    const sessions = [42, UPROBE_MULTI, 56, 57].map((attachType) => ({ type: TracingType.kprobe, attachType }));
    for (const kind of [...others, ...sessions]) assert.notEqual(refuseKind(kind), undefined, JSON.stringify(kind));
  });

  test('calls only helpers that the list allows', () => {
    for (const { id, name, verdict } of helpers) {
      const refusal = refuseInstructions(tracepoint, Code.of([zero, callHelper(id), exit]));
      if (verdict !== 'refused') assert.equal(refusal, undefined, name);
      else
        assert.match(
          describeRefusal(refusal ?? { at: 0, what: '', reason: '' }),
          new RegExp(`unknown func bpf_${name}#${id} \\(instruction 1\\)`),
        );
    }
  });

  test('calls no kernel function and loads no address of the kernel', () => {
    const kfunc = instruction(Op.call, { src: 2, imm: 1234 });
    const symbol = [instruction(Op.loadImm64, { src: 3, imm: 99 }), instruction(0)];
    assert.match(refuseInstructions(tracepoint, Code.of([kfunc, exit]))?.what ?? '', /kernel function/);
    assert.match(refuseInstructions(tracepoint, Code.of([...symbol, exit]))?.what ?? '', /kernel symbol/);
    assert.notEqual(
      refuseInstructions(tracepoint, Code.of([instruction(Op.loadImm64, { src: 7 }), instruction(0), exit])),
      undefined,
    );
  });
});

describe('a program on a uprobe', () => {
  const kprobe: Kind = { type: TracingType.kprobe, attachType: 0 };

  test('may read the registers, and not change them', () => {
    const [read, write] = [0x79, 0x7b].map((code) => instruction(code, { dst: 1, src: 1 }));
    assert.ok(read && write);
    assert.equal(refuseInstructions(kprobe, Code.of([read, exit])), undefined);
    assert.match(refuseInstructions(kprobe, Code.of([write, exit]))?.what ?? '', /writes to its context/);
  });
});

describe('a raw tracepoint program', () => {
  test('must not read its context, which has addresses of the kernel', () => {
    const read = instruction(Op.loadLong, { dst: 0, src: 1 });
    assert.match(refuseInstructions(rawTracepoint, Code.of([read, exit]))?.what ?? '', /reads its context/);
    assert.equal(refuseInstructions(rawTracepoint, Code.of([callHelper(25), exit])), undefined);
    assert.equal(refuseInstructions(tracepoint, Code.of([read, exit])), undefined);
  });
});

describe('a confined program', () => {
  test('reads user memory where it would read any', () => {
    const [first, second] = body(perfEvent, callHelper(4), callHelper(45), exit);
    assert.deepEqual([first, second], [callHelper(112), callHelper(114)]);
  });

  test('gets no stack of the kernel', () => {
    for (const [id, flags] of [
      [27, 3],
      [67, 4],
    ] as const) {
      assert.deepEqual(body(perfEvent, callHelper(id), exit), [
        instruction(Op.jumpIfSetImm, { dst: flags, imm: 0x100, off: 3 }),
        // So that nothing stays in r1 to r5 that the verifier would take for lost.
        callHelper(42),
        instruction(Op.moveImm, { dst: 0, imm: -14 }),
        instruction(Op.jump, { off: 1 }),
        callHelper(id),
        exit,
      ]);
    }
  });

  test('that begins with such a call cannot jump back past the check', () => {
    const all = body(perfEvent, callHelper(27), instruction(Op.jump, { off: -2 }), exit);
    assert.deepEqual(all[5], instruction(Op.jump, { off: -6 }));
  });

  test('gets 0 for the current task, and has lost its arguments as by a call', () => {
    assert.deepEqual(body(perfEvent, callHelper(35), exit), [callHelper(42), zero, exit]);
  });

  test('is told the ids of its own PID namespace, but for the init one', () => {
    assert.ok(!body(perfEvent, callHelper(14), exit).some(({ code, imm }) => code === Op.call && imm === 14));
    const inInit = confine(bare(callHelper(14), exit), perfEvent, scope, { ...kernel, level: 0 }, []);
    assert.deepEqual(listOf(inInit.code).slice(-2), [callHelper(14), exit]);
  });

  test('asks a helper for them where the kernel lets no program read them', () => {
    const pidHelper = { device: 4, inode: 0xf0000001, answers: { fd: 55, count: 8192 } };
    const { code } = confine(bare(callHelper(14), exit), perfEvent, scope, { ...kernel, pidHelper }, [0]);
    checkForm(code);
    const instructions = listOf(code);
    const calls = instructions.filter(({ code }) => code === Op.call).map(({ imm }) => imm);
    assert.deepEqual(calls.slice(-3), [8, 120, 8]);
    assert.ok(!calls.includes(14));
    // No register that the program keeps across the call.
    const [last] = instructions.map(({ imm }, at) => (imm === 120 ? at : 0)).filter((at) => at > 0);
    for (const { dst } of instructions.slice((last ?? 0) - 9, -1)) assert.ok(dst < 6);
  });

  test('hides no tracepoint from others: main always returns 1, functions what they like', () => {
    const call = instruction(Op.call, { src: 1, imm: 1 });
    const one = instruction(Op.moveImm, { imm: 1 });
    assert.deepEqual(body(tracepoint, call, exit, zero, exit), [{ ...call, imm: 2 }, one, exit, zero, exit]);
    const ofTask = callHelper(16);
    assert.deepEqual(body(perfEvent, ofTask, exit, zero, exit), [ofTask, exit, zero, exit]);
    const multi: Kind = { type: TracingType.kprobe, attachType: UPROBE_MULTI };
    assert.deepEqual(body(multi, zero, exit), [zero, exit]);
  });

  test('of a timer, with tracing=filtered, runs in any task if it looks at none', () => {
    const read = instruction(Op.loadLong, { dst: 2, src: 1, off: 128 });
    assert.equal(filter(bare(callHelper(25), exit), perfEvent, scope).code.length, 2);
    for (const each of [read, callHelper(14), callHelper(35), callHelper(113)]) {
      assert.ok(filter(bare(each, exit), perfEvent, scope).code.length > 10);
    }
  });

  test('of a timer runs in any task if it looks at none, and not in the kernel if it reads registers', () => {
    const length = filter(bare(exit), tracepoint, scope).code.length - 1;
    const prologue = (...instructions: Instruction[]): number =>
      confine(bare(...instructions), perfEvent, scope, kernel, []).code.length - instructions.length;
    const read = instruction(Op.loadLong, { dst: 2, src: 1, off: 128 });
    assert.equal(prologue(callHelper(5), callHelper(25), exit), 0);
    for (const id of [12, 14, 15, 16, 112, 27]) assert.ok(prologue(callHelper(id), exit) >= length, `helper ${id}`);
    assert.equal(prologue(read, callHelper(5), exit), length + 3);
    const arm = { ...kernel, userMode: { at: 264, mask: 15, ifSet: false } };
    const instructions = listOf(confine(bare(read, exit), perfEvent, scope, arm, []).code);
    const end = instructions.findIndex(({ code }) => code === Op.exit) - 1;
    assert.deepEqual(instructions.slice(1, 3), [
      instruction(Op.loadLong, { dst: 0, src: 1, off: 264 }),
      instruction(Op.jumpIfSetImm, { dst: 0, imm: 15, off: end - 3 }),
    ]);
  });

  test('has a scope check whose every way ends or goes to its first instruction', () => {
    const { code } = filter(bare(zero, exit), tracepoint, scope);
    checkForm(code);
    const instructions = listOf(code);
    const start = instructions.length - 2;
    const end = instructions.findIndex(({ code }) => code === Op.exit);
    assert.deepEqual(instructions[end - 1], instruction(Op.moveImm, { imm: 1 }));
    for (const { at, target } of referencesIn(Code.of(instructions.slice(0, start)))) {
      // Where it ends, behind that, or where the program begins.
      assert.ok([end - 1, end + 1, start - 2].includes(target), `${at} to ${target}`);
    }
    assert.deepEqual(instructions.slice(start - 2, start), [
      instruction(Op.moveReg, { dst: 1, src: 6 }),
      instruction(Op.moveImm, { dst: 6 }),
    ]);
  });

  test('whatever it was, calls nothing that is refused, and its checks cannot be jumped over', () => {
    const codes = fc.constantFrom(Op.call, Op.exit, Op.jump, Op.jumpLong, 0x15, Op.loadImm64, 0, Op.moveImm);
    const ids = fc.constantFrom(4, 14, 27, 45, 67, 1, 109, 113, 35, 2, -3, -1, 3);
    const any = fc.record({ code: codes, src: fc.nat(5), off: fc.integer({ min: -9, max: 9 }), imm: ids });
    let loaded = 0;
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 9 }), (all) => {
        const program = all.map(({ code, src, off, imm }) =>
          code === 0 ? instruction(0) : instruction(code, { src: code === Op.loadImm64 ? src : src % 2, off, imm }),
        );
        try {
          checkForm(Code.of(program));
        } catch {
          return;
        }
        if (refuseInstructions(tracepoint, Code.of(program))) return;
        loaded++;
        const { code } = confine(bare(...program), tracepoint, scope, kernel, []);
        checkForm(code);
        const start = filter(bare(exit), tracepoint, scope).code.length - 1;
        const targets = new Set<number>();
        for (const at of beginningsOf(code)) {
          const reference = referenceAt(code, at);
          // The checks' own two jumps are the only ones that lead to what they guard.
          const isJump = code.opcode(at) === Op.jump;
          const isCheck = code.opcode(at) === Op.jumpIfSetImm || (isJump && at > 0 && code.imm(at - 1) === -14);
          if (at >= start && reference && !isCheck) targets.add(reference.target);
        }
        for (const at of beginningsOf(code)) {
          assert.ok(at >= start || !targets.has(at), 'a way into the scope check');
          if (code.opcode(at) !== Op.call || code.src(at) !== 0 || at < start) continue;
          const id = code.imm(at);
          assert.ok(![4, 14, 35, 45].includes(id));
          if (id !== 27 && id !== 67) continue;
          assert.equal(code.opcode(at - 4), Op.jumpIfSetImm);
          for (const place of [at - 3, at - 2, at - 1, at]) assert.ok(!targets.has(place), 'a way past a check');
        }
      }),
      { numRuns: 30_000 },
    );
    assert.ok(loaded > 300, `${loaded} programs are too few`);
  });
});
