/** BPF_PROG_LOAD of a program that was checked and rewritten, in the name of a guest. */
import type { Program } from '../../../program/rewrite.js';
import { bpf, runProgram } from '../../../sys/bpf.js';
import { bpfns_creator } from '../../../sys/contract.gen.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { bpf_attr, bpf_cmd } from '../../../sys/kernel.gen.js';
import { addressOf } from '../../../sys/libc.js';
import type { LoadRequest } from './load-request.js';

const WORD = 4;

/** What the verifier is to write. */
export interface Log {
  readonly level: number;
  /** In bytes; 0 for no log. */
  readonly room: number;
}

/** The descriptors that attr names, as our own. */
export interface OwnFds {
  readonly btf: number;
  readonly array: readonly number[];
}

export interface Loaded {
  /** The receiver's to close. */
  readonly fd: Fd;
  /** Its end included; empty if none was asked for. */
  readonly log: Buffer;
  /** How long it would be in full, or 0: kernels before 6.4 do not say it. */
  readonly logTrueSize: number;
}

export function loadInKernel(request: LoadRequest, fds: OwnFds, program: Program, { level, room }: Log): Loaded {
  const attr = Buffer.from(request.attr);
  const log = Buffer.alloc(room);
  const parts: Buffer[] = [];
  const point = (offset: number, bytes: Uint8Array): void => {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    parts.push(buffer);
    attr.writeBigUInt64LE(bytes.length > 0 ? addressOf(buffer) : 0n, offset);
  };
  attr.writeUInt32LE(program.code.length, bpf_attr.insn_cnt);
  point(bpf_attr.insns, program.code.bytes);
  point(bpf_attr.license, request.license);
  point(bpf_attr.log_buf, log);
  attr.writeUInt32LE(room, bpf_attr.log_size);
  attr.writeUInt32LE(level, bpf_attr.log_level);
  attr.writeUInt32LE(0, bpf_attr.log_true_size);
  point(bpf_attr.func_info, program.functions.bytes);
  point(bpf_attr.line_info, program.lines.bytes);
  point(bpf_attr.core_relos, program.relocations.bytes);
  attr.writeInt32LE(fds.btf, bpf_attr.prog_btf_fd);
  const array = Buffer.alloc(fds.array.length * WORD);
  fds.array.forEach((fd, i) => {
    array.writeInt32LE(fd, i * WORD);
  });
  point(bpf_attr.fd_array, array);
  const fd = new Fd(actingFor(request, () => bpf(bpf_cmd.BPF_PROG_LOAD, attr, request.size)));
  const end = log.indexOf(0);
  return {
    fd,
    log: level > 0 ? log.subarray(0, end < 0 ? log.length : end + 1) : log.subarray(0, 0),
    logTrueSize: attr.readUInt32LE(bpf_attr.log_true_size),
  };
}

/** The log that the guest asked for. */
export const askedLog = ({ attr, logRoom }: LoadRequest): Log => ({
  level: Buffer.from(attr).readUInt32LE(bpf_attr.log_level),
  room: logRoom,
});

/** The recorder notes what `create` makes as the guest's. */
function actingFor({ actFor, creator }: LoadRequest, create: () => number): number {
  const context = Buffer.from(creator);
  const told = runProgram(actFor, context);
  if (told < 0 || context.readUInt32LE(bpfns_creator.done) === 0) return -E.ENOMEM;
  try {
    return create();
  } finally {
    runProgram(actFor, Buffer.alloc(context.length));
  }
}
