/** Rewrites map references in translated instructions, where the kernel puts map ids (bpf_insn_prepare_dump()). */
import { type HostId, hostId, type Kind, type NsId } from '../../../model/ids.js';

/** The id of an object in the caller's namespace; 0 if it is not visible there. */
export type Translate = (kind: Kind, host: HostId) => NsId;

const BPF_LD_IMM_DW = 0x18;
const BPF_PSEUDO_MAP_FD = 1;
const BPF_PSEUDO_MAP_VALUE = 2;
const INSTRUCTION = 8;

/** Rewrites the ids in `length` bytes of instructions. A reference that is cut at the end keeps its first half. */
export function translateInstructions(code: Buffer, length: number, translate: Translate): void {
  for (let at = 0; at + INSTRUCTION <= length; at += INSTRUCTION) {
    if (code[at] !== BPF_LD_IMM_DW) continue;
    const source = (code[at + 1] ?? 0) >> 4;
    if (source === BPF_PSEUDO_MAP_FD || source === BPF_PSEUDO_MAP_VALUE) {
      code.writeUInt32LE(translate('map', hostId(code.readUInt32LE(at + 4))), at + 4);
    }
    at += INSTRUCTION; // the second half of the 16-byte instruction
  }
}
