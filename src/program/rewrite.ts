/** Changes instructions and puts others in front of them; all that refers to a place in the program is mended. */
import { checkForm, type Reference, referenceOf } from './flow.js';
import { type Instruction, Op, ProgramError, SLOT_SIZE } from './instruction.js';

/** Records that begin with the place in the program that they are about: a u32. */
export interface Records {
  readonly bytes: Uint8Array;
  /** Bytes of a record, at least 4. */
  readonly size: number;
}

/** A program with what the loader says of its instructions (union bpf_attr, BPF_PROG_LOAD). */
export interface Program {
  readonly instructions: readonly Instruction[];
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
  const { instructions } = program;
  checkForm(instructions);
  const editAt = bySlot(edits, instructions.length);
  /** Where each instruction is afterwards. */
  const moved = new Uint32Array(instructions.length);
  let shift = prologue.length;
  for (let at = 0; at < instructions.length; at++) {
    const edit = editAt(at);
    if (edit) shift += (edit.entry?.length ?? 0) + (edit.before?.length ?? 0);
    moved[at] = at + shift;
    if (instructions[at]?.code === Op.loadImm64) moved[++at] = at + shift;
  }
  const movedTo = (at: number): number => moved[at] ?? 0;
  const landing = (at: number): number => movedTo(at) - (editAt(at)?.before?.length ?? 0);
  const entering = (at: number): number => landing(at) - (editAt(at)?.entry?.length ?? 0);
  // The verifier wants functions, and their first lines, at the beginning: what is put in front is a part of them.
  const beginning = (at: number): number => (at === 0 ? 0 : entering(at));
  const placeOf: PlaceOf = ({ kind, target }) => (kind === 'jump' ? landing(target) : entering(target));
  return {
    instructions: [...prologue, ...rewriteInstructions(instructions, editAt, movedTo, placeOf)],
    functions: moveRecords(program.functions, beginning, instructions.length, 1),
    lines: moveRecords(program.lines, beginning, instructions.length, 1),
    relocations: moveRecords(program.relocations, movedTo, instructions.length, SLOT_SIZE),
  };
}

/** Which edit there is for a slot, if any. Few slots have one, and programs are long: it asks the map for these only. */
function bySlot(edits: Edits, length: number): EditAt {
  const has = new Uint8Array(length);
  for (const at of edits.keys()) has[at] = 1;
  return (at) => (has[at] === 1 ? edits.get(at) : undefined);
}

type EditAt = (slot: number) => Edit | undefined;

/** Where a reference leads afterwards. */
type PlaceOf = (reference: Reference) => number;

function rewriteInstructions(
  instructions: readonly Instruction[],
  editAt: EditAt,
  movedTo: (at: number) => number,
  placeOf: PlaceOf,
): Instruction[] {
  const result: Instruction[] = [];
  for (let at = 0; at < instructions.length; at++) {
    const instruction = instructions[at];
    if (!instruction) break;
    const edit = editAt(at);
    if (edit) result.push(...(edit.entry ?? []), ...(edit.before ?? []), ...(edit.becomes ?? []));
    if (!edit?.becomes) result.push(mend(instruction, at, movedTo(at), placeOf));
    if (instruction.code !== Op.loadImm64) continue;
    at++;
    const second = instructions[at];
    if (second && !edit?.becomes) result.push(second);
  }
  return result;
}

function mend(instruction: Instruction, at: number, movedTo: number, placeOf: PlaceOf): Instruction {
  const reference = referenceOf(instruction, at);
  if (!reference) return instruction;
  const distance = placeOf(reference) - movedTo - 1;
  if (distance === instruction[reference.field]) return instruction;
  if (reference.field === 'imm') return { ...instruction, imm: distance };
  if (distance < -0x8000 || distance > 0x7fff) throw new ProgramError(at, 'the jump is too far');
  return { ...instruction, off: distance };
}

/** Records about places outside of the program stay outside, for the kernel to refuse. */
function moveRecords(records: Records, to: (at: number) => number, length: number, unit: number): Records {
  const bytes = Uint8Array.from(records.bytes);
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
