/** The kernel checks the rewriter: changed programs compute what they computed before. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Code } from '../../src/program/code.js';
import { type Instruction, instruction, Op } from '../../src/program/instruction.js';
import { NO_RECORDS, rewrite } from '../../src/program/rewrite.js';
import { bpf } from '../../src/sys/bpf.js';
import { bpf_attr, bpf_cmd, bpf_prog_type } from '../../src/sys/kernel.gen.js';
import { addressOf, close } from '../../src/sys/libc.js';
import { listOf } from '../support/code.js';
import { skipReason } from '../support/host.js';
import { run } from '../support/interpreter.js';
import { contexts, harmlessEdits, NOTHING, programs } from '../support/random-program.js';

const licence = Buffer.from('GPL\0');

function load(instructions: readonly Instruction[]): number {
  const code = Buffer.from(Code.of(instructions).bytes);
  const attr = Buffer.alloc(bpf_attr.fd_array);
  attr.writeUInt32LE(bpf_prog_type.BPF_PROG_TYPE_RAW_TRACEPOINT, bpf_attr.prog_type);
  attr.writeUInt32LE(instructions.length, bpf_attr.insn_cnt);
  attr.writeBigUInt64LE(addressOf(code), bpf_attr.insns);
  attr.writeBigUInt64LE(addressOf(licence), bpf_attr.license);
  return bpf(bpf_cmd.BPF_PROG_LOAD, attr, attr.length);
}

/** The return value of the program, run by the kernel. */
function runInKernel(instructions: readonly Instruction[], context: readonly bigint[]): number {
  const fd = load(instructions);
  assert.ok(fd >= 0, `errno ${-fd} for ${JSON.stringify(instructions)}`);
  try {
    const numbers = Buffer.from(BigUint64Array.from(context).buffer);
    const attr = Buffer.alloc(bpf_attr.test_batch_size + 4);
    attr.writeInt32LE(fd, bpf_attr.test_prog_fd);
    attr.writeUInt32LE(numbers.length, bpf_attr.test_ctx_size_in);
    attr.writeBigUInt64LE(addressOf(numbers), bpf_attr.test_ctx_in);
    assert.equal(bpf(bpf_cmd.BPF_PROG_TEST_RUN, attr, attr.length), 0);
    return attr.readUInt32LE(bpf_attr.test_retval);
  } finally {
    close(fd);
  }
}

/** "gotol" exists since Linux 6.6. */
function hasLongJumps(): boolean {
  const fd = load([instruction(Op.moveImm), instruction(Op.jumpLong), instruction(Op.exit)]);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

describe('a rewritten program', { skip: skipReason }, () => {
  test('computes under BPF_PROG_TEST_RUN what the original does, and what the interpreter says', () => {
    fc.assert(
      fc.property(programs(hasLongJumps()), harmlessEdits, fc.nat(3), contexts, (program, edits, length, context) => {
        const original = { code: Code.of(program), functions: NO_RECORDS, lines: NO_RECORDS, relocations: NO_RECORDS };
        const prologue = Array.from({ length }, () => NOTHING);
        const { code } = rewrite(original, edits, prologue);
        const expected = run(program, context);
        assert.equal(runInKernel(program, context), expected);
        assert.equal(runInKernel(listOf(code), context), expected);
      }),
      { numRuns: 300 },
    );
  });
});
