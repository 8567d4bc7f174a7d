/** Changes instructions and puts others in front of them; all that refers to a place in the program is mended. */
import { type Code, CodeWriter } from './code.js';
import { checkForm, referencesIn, slotsOf } from './flow.js';
import { type Instruction, Op, ProgramError, SLOT_SIZE } from './instruction.js';

/** Records that begin with the place in the program that they are about: a u32. */
export interface Records {
  readonly bytes: Uint8Array;
  /** Bytes of a record, at least 4. */
  readonly size: number;
}

/** A program with what the loader says of its instructions (union bpf_attr, BPF_PROG_LOAD). */
export interface Program {
  readonly code: Code;
  readonly functions: Records;
  readonly lines: Records;
  /** These count bytes, not slots. */
  readonly relocations: Records;
}

export const NO_RECORDS: Records = { bytes: new Uint8Array(0), size: 8 };

/** What happens to one instruction of the program, named by its (first) slot. */
export interface Edit {
  /** Put in front of a function: only calls lead here. Jumps to its first instruction lead behind it. */
  readonly entry?: readonly Instruction[];
  /**
   * Put in front: jumps and calls to the instruction lead here. Jumps among these are left as they
   * are; the instruction itself follows the last one.
   */
  readonly before?: readonly Instruction[];
  /** Stands for the instruction: as many slots, no reference. */
  readonly becomes?: readonly Instruction[];
}

export type Edits = ReadonlyMap<number, Edit>;

/**
 * @param prologue runs once, before the program's first instruction and all that is put in front of that:
 *   no jump or call of the program leads into it
 * @throws ProgramError if the program is not well formed, or a jump no longer reaches
 */
export function rewrite(program: Program, edits: Edits, prologue: readonly Instruction[] = []): Program {
  const { code } = program;
  checkForm(code);
  const { length } = code;
  const sorted = inOrder(code, edits);
  const { moved, end } = placesAfter(length, sorted, prologue.length);
  const movedTo = (at: number): number => moved[at] ?? 0;
  const landing = (at: number): number => movedTo(at) - (edits.get(at)?.before?.length ?? 0);
  const entering = (at: number): number => landing(at) - (edits.get(at)?.entry?.length ?? 0);
  // The verifier wants functions, and their first lines, at the beginning: what is put in front is a part of them.
  const beginning = (at: number): number => (at === 0 ? 0 : entering(at));
  const writer = new CodeWriter(end);
  writer.put(prologue);
  write(writer, code, sorted);
  for (const { at, kind, field, target } of referencesIn(code)) {
    if (edits.get(at)?.becomes) continue;
    const distance = (kind === 'jump' ? landing(target) : entering(target)) - movedTo(at) - 1;
    if (field === 'off' && (distance < -0x8000 || distance > 0x7fff)) throw new ProgramError(at, 'the jump is too far');
    writer.replaceField(movedTo(at), field, distance);
  }
  return {
    code: writer.end(),
    functions: moveRecords(program.functions, beginning, length, 1),
    lines: moveRecords(program.lines, beginning, length, 1),
    relocations: moveRecords(program.relocations, movedTo, length, SLOT_SIZE),
  };
}

interface PlacedEdit {
  readonly at: number;
  readonly edit: Edit;
}

/** The edits of instructions that there are, from front to back. */
function inOrder(code: Code, edits: Edits): PlacedEdit[] {
  const found: PlacedEdit[] = [];
  for (const [at, edit] of edits) {
    const isSecondHalf = at > 0 && code.opcode(at - 1) === Op.loadImm64;
    if (at < code.length && !isSecondHalf) found.push({ at, edit });
  }
  return found.sort((a, b) => a.at - b.at);
}

/** Where each instruction is afterwards, and where the program ends. @param start where its first edit goes */
function placesAfter(length: number, edits: readonly PlacedEdit[], start: number): { moved: Uint32Array; end: number } {
  const moved = new Uint32Array(length);
  let shift = start;
  let next = 0;
  for (let at = 0; at < length; at++) {
    if (edits[next]?.at === at) shift += added(edits[next++]?.edit);
    moved[at] = at + shift;
  }
  return { moved, end: length + shift };
}

const added = (edit: Edit | undefined): number => (edit?.entry?.length ?? 0) + (edit?.before?.length ?? 0);

/** The program with its edits. What they leave alone is copied as it is. */
function write(writer: CodeWriter, code: Code, edits: readonly PlacedEdit[]): void {
  let done = 0;
  for (const { at, edit } of edits) {
    writer.copy(code, done, at);
    writer.put(edit.entry ?? []);
    writer.put(edit.before ?? []);
    writer.put(edit.becomes ?? []);
    done = at + (edit.becomes ? slotsOf(code.opcode(at)) : 0);
  }
  writer.copy(code, done, code.length);
}

/** Records about places outside of the program stay outside, for the kernel to refuse. */
function moveRecords(records: Records, to: (at: number) => number, length: number, unit: number): Records {
  const bytes = new Uint8Array(records.bytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length && at + records.size <= bytes.length; at += records.size) {
    const place = view.getUint32(at, true);
    const slot = Math.floor(place / unit);
    if (slot < length) view.setUint32(at, to(slot) * unit + (place % unit), true);
    // What was outside of the program must not get inside because that has grown.
    else view.setUint32(at, 0xffffffff, true);
  }
  return { bytes, size: records.size };
}
