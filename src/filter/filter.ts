/** The seccomp filter of a namespace: which system calls are trapped. Pure: it only generates the program. */
import { type Architecture, architecture } from '../sys/architecture.js';
import { E } from '../sys/errno.js';
import { BPF_RET_K, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF } from '../sys/seccomp.js';
import { CLONE_NEWBPF_HIGH } from './own-command.js';

/* Classic BPF: opcodes and offsets in struct seccomp_data. */
const LD_W_ABS = 0x20;
const ALU_AND_K = 0x54;
const JEQ_K = 0x15;
const JSET_K = 0x45;
const DATA_NR = 0;
const DATA_ARCH = 4;
const DATA_ARG0_LOW = 16;
const DATA_ARG0_HIGH = 20;

/** An instruction. A jump names the label of its target; without a label it falls through to the next one. */
interface Instruction {
  readonly code: number;
  readonly k: number;
  readonly ifTrue?: Label;
  readonly ifFalse?: Label;
}
type Label = 'narrow' | 'bpf' | 'unshare' | 'allow' | 'notify' | 'enosys';

/** Which system calls are trapped besides bpf(2). */
export interface OtherCalls {
  /** Traps every call, since the flags are in memory. False where bit 34 means something else to the kernel. */
  readonly clone3: boolean;
  /** Traps only calls with bit 34. */
  readonly unshare: boolean;
  /** Every perf_event_open(); a foreign ABI gets ENOSYS for it. */
  readonly perf?: boolean;
}

const load = (offset: number): Instruction => ({ code: LD_W_ABS, k: offset });
const ifEqual = (k: number, ifTrue: Label, ifFalse?: Label): Instruction =>
  ifFalse ? { code: JEQ_K, k, ifTrue, ifFalse } : { code: JEQ_K, k, ifTrue };
const give = (k: number): Instruction => ({ code: BPF_RET_K, k });

/**
 * Builds the filter. bpf(2) with one of the commands goes to the agent, and every other native call
 * runs natively. Only the low 16 bits of the command count, since newer kernels OR a flag into the
 * upper half. bpf(2) of a foreign ABI fails with ENOSYS.
 */
export function buildFilter(
  commands: readonly number[],
  { clone3, unshare, perf = false }: OtherCalls,
  { audit, syscalls: SYS, narrow, secondAbi }: Architecture = architecture,
): Buffer {
  const foreign = (number: number): Instruction[] =>
    secondAbi === undefined ? [] : [ifEqual(secondAbi + number, 'enosys')];
  const others: Instruction[] = [
    ...(perf ? [ifEqual(SYS.perf_event_open, 'notify'), ...foreign(SYS.perf_event_open)] : []),
    ...(clone3 ? [ifEqual(SYS.clone3, 'notify')] : []),
    ...(unshare ? [ifEqual(SYS.unshare, 'unshare')] : []),
  ];
  return assemble([
    ['start', [load(DATA_ARCH), ifEqual(narrow.audit, 'narrow'), { code: JEQ_K, k: audit, ifFalse: 'allow' }]],
    ['native', [load(DATA_NR), ifEqual(SYS.bpf, 'bpf'), ...foreign(SYS.bpf), ...others, give(SECCOMP_RET_ALLOW)]],
    [
      'narrow',
      [
        load(DATA_NR),
        ...(perf ? [ifEqual(narrow.perf_event_open, 'enosys')] : []),
        ifEqual(narrow.bpf, 'enosys', 'allow'),
      ],
    ],
    ['unshare', [load(DATA_ARG0_HIGH), { code: JSET_K, k: CLONE_NEWBPF_HIGH, ifTrue: 'notify', ifFalse: 'allow' }]],
    [
      'bpf',
      [load(DATA_ARG0_LOW), { code: ALU_AND_K, k: 0xffff }, ...commands.map((command) => ifEqual(command, 'notify'))],
    ],
    ['allow', [give(SECCOMP_RET_ALLOW)]],
    ['notify', [give(SECCOMP_RET_USER_NOTIF)]],
    ['enosys', [give(SECCOMP_RET_ERRNO | E.ENOSYS)]],
  ]);
}

/** Lays the blocks out in order. Jumps of classic BPF go forward, and are relative to the next instruction. */
function assemble(blocks: ReadonlyArray<readonly [label: string, block: readonly Instruction[]]>): Buffer {
  const program = blocks.flatMap(([, block]) => block);
  const starts = new Map<string, number>();
  let length = 0;
  for (const [label, block] of blocks) {
    starts.set(label, length);
    length += block.length;
  }
  const code = Buffer.alloc(program.length * 8);
  program.forEach(({ code: op, k, ifTrue, ifFalse }, i) => {
    const distance = (label: Label | undefined): number => (label ? (starts.get(label) ?? 0) - i - 1 : 0);
    code.writeUInt16LE(op, i * 8);
    code.writeUInt8(distance(ifTrue), i * 8 + 2);
    code.writeUInt8(distance(ifFalse), i * 8 + 3);
    code.writeUInt32LE(k >>> 0, i * 8 + 4);
  });
  return code;
}
