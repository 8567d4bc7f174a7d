/**
 * eBPF instructions as data (Documentation/bpf/standardization/instruction-set.rst). A program
 * consists of slots, as the kernel counts them: a 64-bit load (`ld_imm64`) takes two.
 */

export interface Instruction {
  /** The whole opcode byte. */
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  /** Signed, 16 bits. */
  readonly off: number;
  /** Signed, 32 bits. */
  readonly imm: number;
}

/** A program that is not well formed: at which slot, and why. */
export class ProgramError extends Error {
  readonly at: number;

  constructor(at: number, problem: string) {
    super(`instruction ${at}: ${problem}`);
    this.at = at;
  }
}

/** Bytes of a slot. */
export const SLOT_SIZE = 8;

/** Instruction classes: the low three bits of the opcode. */
export const Class = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, jmp32: 6, alu64: 7 } as const;

/** Whole opcodes that are looked for by name. */
export const Op = {
  loadImm64: 0x18,
  jump: 0x05,
  /** With a 32-bit distance in imm ("gotol"). */
  jumpLong: 0x06,
  /** Taken a bounded number of times, by the kernel's own count. */
  mayGoto: 0xe5,
  call: 0x85,
  exit: 0x95,
  moveImm: 0xb7,
  moveReg: 0xbf,
  loadWord: 0x61,
  loadLong: 0x79,
  storeWord: 0x63,
  storeLongImm: 0x7a,
  jumpIfEqualImm: 0x15,
  jumpIfNotEqualImm: 0x55,
  jumpIfLessImm: 0xa5,
  jumpIfSetImm: 0x45,
  addImm: 0x07,
  addReg: 0x0f,
  andImm: 0x57,
  /** Clears the upper half. */
  moveWordImm: 0xb4,
  shiftLeftImm: 0x67,
  orReg: 0x4f,
} as const;

/** What a call's `src` says that it calls. */
export const CallOf = { helper: 0, function: 1, kernelFunction: 2 } as const;

/** What a 64-bit load's `src` says that it loads. */
export const Load64Of = {
  number: 0,
  mapFd: 1,
  mapValue: 2,
  kernelSymbol: 3,
  function: 4,
  mapIndex: 5,
  mapIndexValue: 6,
} as const;

export const classOf = (opcode: number): number => opcode & 7;

/** An instruction; what is not said is 0. */
export const instruction = (code: number, rest: Partial<Omit<Instruction, 'code'>> = {}): Instruction => ({
  code,
  dst: rest.dst ?? 0,
  src: rest.src ?? 0,
  off: rest.off ?? 0,
  imm: rest.imm ?? 0,
});

/** The two slots of a 64-bit load of the address of a map, by its fd in the process that loads the program. */
export const loadMap = (dst: number, fd: number): Instruction[] => [
  instruction(Op.loadImm64, { dst, src: Load64Of.mapFd, imm: fd }),
  instruction(0),
];

/** The same of the address of an array's first value. */
export const loadMapValue = (dst: number, fd: number): Instruction[] => [
  instruction(Op.loadImm64, { dst, src: Load64Of.mapValue, imm: fd }),
  instruction(0),
];

export const callHelper = (id: number): Instruction => instruction(Op.call, { imm: id });
