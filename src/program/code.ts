/**
 * The instructions of a program as the kernel has them: slots of 8 bytes. There is no object for each
 * one, since programs are long and most of their instructions are only passed over.
 */
import { type Instruction, ProgramError, SLOT_SIZE } from './instruction.js';

export class Code {
  readonly bytes: Uint8Array;
  /** In slots. */
  readonly length: number;
  /** The same bytes as numbers: little-endian, as every machine that this runs on. */
  readonly #halves: Int16Array;
  readonly #words: Int32Array;

  /** @param bytes whole slots that fill their buffer; nobody else writes to them from now on */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.length = bytes.length / SLOT_SIZE;
    this.#halves = new Int16Array(bytes.buffer);
    this.#words = new Int32Array(bytes.buffer);
  }

  /** A copy of what a loader gave. @throws ProgramError if there is half an instruction */
  static read(bytes: Uint8Array): Code {
    if (bytes.length % SLOT_SIZE !== 0) throw new ProgramError(Math.floor(bytes.length / SLOT_SIZE), 'is cut short');
    return new Code(new Uint8Array(bytes));
  }

  static of(instructions: readonly Instruction[]): Code {
    const writer = new CodeWriter(instructions.length);
    writer.put(instructions);
    return writer.end();
  }

  /** Of a slot that there is, as all that follow. The whole opcode byte. */
  opcode(slot: number): number {
    return this.bytes[slot * SLOT_SIZE] ?? 0;
  }

  dst(slot: number): number {
    return (this.bytes[slot * SLOT_SIZE + 1] ?? 0) & 15;
  }

  src(slot: number): number {
    return (this.bytes[slot * SLOT_SIZE + 1] ?? 0) >> 4;
  }

  off(slot: number): number {
    return this.#halves[slot * 4 + 1] ?? 0;
  }

  imm(slot: number): number {
    return this.#words[slot * 2 + 1] ?? 0;
  }

  at(slot: number): Instruction {
    return {
      code: this.opcode(slot),
      dst: this.dst(slot),
      src: this.src(slot),
      off: this.off(slot),
      imm: this.imm(slot),
    };
  }

  /** The same with other instructions in some slots. */
  with(changed: ReadonlyMap<number, Instruction>): Code {
    const writer = new CodeWriter(this.length);
    writer.copy(this, 0, this.length);
    for (const [slot, each] of changed) writer.replace(slot, each);
    return writer.end();
  }
}

/** Writes code from front to back. */
export class CodeWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #end = 0;

  /** @param length how many slots there will be */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length * SLOT_SIZE);
    this.#view = new DataView(this.#bytes.buffer);
  }

  put(instructions: readonly Instruction[]): void {
    for (const each of instructions) this.replace(this.#end++, each);
  }

  /** What another program has from one slot up to another. */
  copy({ bytes }: Code, from: number, to: number): void {
    this.#bytes.set(bytes.subarray(from * SLOT_SIZE, to * SLOT_SIZE), this.#end * SLOT_SIZE);
    this.#end += to - from;
  }

  replace(slot: number, { code, dst, src, off, imm }: Instruction): void {
    const at = slot * SLOT_SIZE;
    this.#view.setUint8(at, code);
    this.#view.setUint8(at + 1, dst | (src << 4));
    this.replaceField(slot, 'off', off);
    this.replaceField(slot, 'imm', imm);
  }

  replaceField(slot: number, field: 'off' | 'imm', value: number): void {
    if (field === 'off') this.#view.setInt16(slot * SLOT_SIZE + 2, value, true);
    else this.#view.setInt32(slot * SLOT_SIZE + 4, value, true);
  }

  /** Nothing may be written after it. */
  end(): Code {
    return new Code(this.#bytes);
  }
}
