/** Random streams of instructions: bytes of no meaning, and valid programs in which something was changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginningsOf, listOf } from '../../test/support/code.js';
import { kernel, scope } from '../../test/support/confinement.js';
import { refuseInstructions, TracingType } from './check.js';
import { Code } from './code.js';
import { confine, filter } from './confine.js';
import { checkForm, referenceAt } from './flow.js';
import { helper } from './helpers.js';
import { CallOf, Load64Of, Op, ProgramError } from './instruction.js';
import { NO_RECORDS, type Program } from './rewrite.js';
import { guessDepths } from './stack.js';

/** BPFNS_FUZZ=100000 tries more. */
const STREAMS = Number(process.env.BPFNS_FUZZ ?? 10_000);
const MOST = 48;

const kinds = [TracingType.tracepoint, TracingType.kprobe, TracingType.rawTracepoint];

/** A generator of numbers with a state of 32 bits (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const any = generator(20_261_129);
const codes = [0x85, 0x95, 0x18, 0x05, 0x06, 0x15, 0x79, 0x7b, 0x7a, 0xdb, 0xb7, 0xbf, 0x07, 0x0f, 0xe5, 0x8d, 0x81, 0];

function stream(): Uint8Array {
  const bytes = new Uint8Array(8 * (1 + any(MOST)));
  const isNoise = any(3) === 0;
  for (let i = 0; i < bytes.length; i++) bytes[i] = isNoise ? any(256) : 0;
  if (isNoise) return bytes;
  // Of opcodes that mean something, with small numbers; mostly it ends as it should.
  for (let at = 0; at < bytes.length; at += 8) {
    bytes[at] = codes[any(codes.length)] ?? 0;
    bytes[at + 1] = any(11) | (any(any(2) + 6) << 4);
    bytes[at + 2] = any(4) === 0 ? any(8) : 0;
    bytes[at + 4] = any(220);
    if (bytes[at] === 0x18 && at + 16 <= bytes.length) at += 8;
  }
  bytes.fill(0, bytes.length - 8);
  bytes[bytes.length - 8] = Op.exit;
  return bytes;
}

/** What the agent does with a program that a guest loads: the confined one, or undefined if it is refused. */
function load(type: number, bytes: Uint8Array): Program | undefined {
  try {
    const code = Code.read(bytes);
    checkForm(code);
    const kind = { type, attachType: 0 };
    if (refuseInstructions(kind, code)) return undefined;
    const program = { code, functions: NO_RECORDS, lines: NO_RECORDS, relocations: NO_RECORDS };
    return confine(program, kind, scope, kernel, guessDepths(code));
  } catch (error) {
    if (error instanceof ProgramError) return undefined;
    throw error;
  }
}

/** What may not be in the guest's part of a program. */
function judge({ code }: Program, from: number): void {
  checkForm(code);
  for (const at of beginningsOf(code)) {
    if (at < from) continue;
    const each = code.at(at);
    const reference = referenceAt(code, at);
    assert.ok(!reference || reference.target >= from, `${at} leads into the scope check`);
    if (each.code === Op.loadImm64) assert.notEqual(each.src, Load64Of.kernelSymbol);
    if (each.code !== Op.call || each.src === CallOf.function) continue;
    assert.equal(each.src, CallOf.helper, `kernel function at ${at}`);
    // What is read of the current task in place of its pids is bpfns' own.
    const isOwn = isReadOfPids(code, at);
    assert.ok(isOwn || helper(each.imm).verdict !== 'refused', `helper ${each.imm} at ${at}`);
    assert.ok(![4, 14, 45].includes(each.imm), `helper ${each.imm} at ${at}`);
  }
}

const isReadOfPids = (code: Code, at: number): boolean =>
  code.imm(at) === 158 && code.off(at + 1) === kernel.groupLeader;

test(`of ${STREAMS} random programs none is loaded that was not checked and confined`, () => {
  const bare = { code: Code.read(Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0)) };
  let loaded = 0;
  for (let i = 0; i < STREAMS; i++) {
    const type = kinds[any(kinds.length)] ?? TracingType.tracepoint;
    const program = load(type, stream());
    if (!program) continue;
    loaded++;
    const check = listOf(filter({ ...NO_PARTS, ...bare }, { type, attachType: 0 }, scope).code).slice(0, -1);
    assert.deepEqual(listOf(program.code).slice(0, check.length), check);
    judge(program, check.length);
  }
  assert.ok(loaded > STREAMS / 50, `${loaded} loaded`);
});

const NO_PARTS = { functions: NO_RECORDS, lines: NO_RECORDS, relocations: NO_RECORDS };
