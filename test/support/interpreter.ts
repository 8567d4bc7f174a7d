/** An interpreter for the part of eBPF that random-program.ts uses: the oracle for what a program computes. */
import { type Instruction, Op } from '../../src/program/instruction.js';

const MASK64 = (1n << 64n) - 1n;
const MASK32 = (1n << 32n) - 1n;

/** Runs a program with these numbers as its context (u64 each) and returns r0, as BPF_PROG_TEST_RUN does: 32 bits. */
export function run(program: readonly Instruction[], context: readonly bigint[]): number {
  const registers: bigint[] = Array.from({ length: 10 }, () => 0n);
  const frames: Array<{ back: number; saved: bigint[] }> = [];
  const at = (i: number): Instruction => {
    const found = program[i];
    if (!found) throw new RangeError(`ran out of the program at ${i}`);
    return found;
  };
  const get = (i: number): bigint => registers[i] ?? 0n;
  let pc = 0;
  for (let fuel = 100_000; fuel > 0; fuel--) {
    const each = at(pc++);
    const { code, dst, src, off, imm } = each;
    if (code === Op.exit) {
      const frame = frames.pop();
      if (!frame) return Number(get(0) & MASK32);
      registers.splice(6, 4, ...frame.saved);
      pc = frame.back;
    } else if (code === Op.call) {
      frames.push({ back: pc, saved: registers.slice(6, 10) });
      pc += imm;
    } else if (code === Op.loadImm64) {
      registers[dst] = BigInt.asUintN(32, BigInt(imm)) | (BigInt.asUintN(32, BigInt(at(pc).imm)) << 32n);
      pc++;
    } else if (code === Op.jumpLong) {
      pc += imm;
    } else if (code === Op.loadLong) {
      registers[dst] = BigInt.asUintN(64, context[off / 8] ?? 0n);
    } else {
      const is64 = (code & 7) === 7 || (code & 7) === 5;
      const width = is64 ? 64 : 32;
      const operand = BigInt.asUintN(width, (code & 8) === 8 ? get(src) : BigInt(imm));
      const value = BigInt.asUintN(width, get(dst));
      const operation = code & 0xf0;
      if ((code & 7) === 5 || (code & 7) === 6) {
        if (jumps(operation, value, operand, width)) pc += off;
      } else {
        registers[dst] = BigInt.asUintN(width, compute(operation, value, operand, width)) & MASK64;
      }
    }
  }
  throw new RangeError('does not end');
}

function jumps(operation: number, a: bigint, b: bigint, width: number): boolean {
  const signed = (value: bigint): bigint => BigInt.asIntN(width, value);
  switch (operation) {
    case 0x00:
      return true;
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x40:
      return (a & b) !== 0n;
    case 0x50:
      return a !== b;
    case 0x60:
      return signed(a) > signed(b);
    case 0xa0:
      return a < b;
    default:
      throw new RangeError(`condition ${operation} is not used here`);
  }
}

function compute(operation: number, a: bigint, b: bigint, width: number): bigint {
  switch (operation) {
    case 0x00:
      return a + b;
    case 0x10:
      return a - b;
    case 0x20:
      return a * b;
    case 0x30:
      return b === 0n ? 0n : a / b;
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return a << (b & BigInt(width - 1));
    case 0x70:
      return a >> (b & BigInt(width - 1));
    case 0xa0:
      return a ^ b;
    case 0xb0:
      return b;
    default:
      throw new RangeError(`operation ${operation} is not used here`);
  }
}
