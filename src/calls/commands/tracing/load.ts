/** Checks, confines and loads one program, on a thread that may take its time. */

import { describe, type Kind, refuseInstructions, refuseKind } from '../../../program/check.js';
import { Code } from '../../../program/code.js';
import { confine, filter, type PidHelper, type Scope } from '../../../program/confine.js';
import { checkForm, notableIn } from '../../../program/flow.js';
import { type Instruction, Load64Of, Op, ProgramError } from '../../../program/instruction.js';
import type { Program } from '../../../program/rewrite.js';
import { guessDepths } from '../../../program/stack.js';
import { architecture } from '../../../sys/architecture.js';
import { bpfns_namespace, bpfns_task } from '../../../sys/contract.gen.js';
import { createArray } from '../../../sys/create-map.js';
import { E, Refusal } from '../../../sys/errno.js';
import type { Fd } from '../../../sys/fd.js';
import { getForeignFd, type Owner } from '../../../sys/foreign-fd.js';
import { bpf_attr } from '../../../sys/kernel.gen.js';
import { loadCleared } from './cleared.js';
import { askedLog, type Loaded, loadInKernel, type OwnFds } from './kernel-load.js';
import type { LoadAnswer, LoadRequest, ReadLayout } from './load-request.js';
import { refuseObjects } from './objects.js';

/** The kernel takes 64 maps (MAX_USED_MAPS); more are not fetched for it to refuse. */
const MAX_FDS = 128;
const WORD = 4;

/** The caller's descriptors, as our own. */
class Descriptors implements Disposable {
  readonly #thread: number;
  readonly #owner: Owner;
  readonly #taken = new Map<number, Fd>();

  constructor({ thread, owner }: LoadRequest) {
    this.#thread = thread;
    this.#owner = owner;
  }

  /** @throws Errno EBADF, E2BIG @throws Refusal ENOMEM */
  take(number: number): number {
    let fd = this.#taken.get(number);
    if (!fd) {
      if (this.#taken.size >= MAX_FDS) throw new Errno(E.E2BIG);
      fd = getForeignFd({ number: this.#thread }, number, this.#owner);
      this.#taken.set(number, fd);
    }
    if (!fd.isOpen) throw new Errno(E.EBADF);
    return fd.number;
  }

  /** All that were taken. */
  *numbers(): Generator<number> {
    for (const fd of this.#taken.values()) yield fd.number;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#taken.values()) fd.close();
  }
}

/** What the kernel would say of the call. */
class Errno extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super();
    this.errno = errno;
  }
}

export function load(request: LoadRequest, readLayout: ReadLayout): LoadAnswer {
  using descriptors = new Descriptors(request);
  try {
    const attr = Buffer.from(request.attr);
    const kind = {
      type: attr.readUInt32LE(bpf_attr.prog_type),
      attachType: attr.readUInt32LE(bpf_attr.expected_attach_type),
    };
    const code = Code.read(request.code);
    checkForm(code);
    const refusal = request.mode === 'own' ? (refuseKind(kind) ?? refuseInstructions(kind, code)) : undefined;
    if (refusal) return refused(request, describe(refusal), E.EACCES);
    return loadAllowed(request, kind, withOwnFds(code, request.fdArray, descriptors), descriptors, readLayout);
  } catch (error) {
    if (error instanceof Errno || error instanceof Refusal)
      return { result: -error.errno, log: EMPTY, logTrueSize: 0, refusal: '' };
    if (error instanceof ProgramError) return refused(request, `${error.message}\n`, E.EINVAL);
    throw error;
  }
}

const EMPTY = Buffer.alloc(0);

/** As the verifier: what fits, and ENOSPC if that is not all. */
function refused({ logRoom, attr }: LoadRequest, text: string, errno: number): LoadAnswer {
  const level = Buffer.from(attr).readUInt32LE(bpf_attr.log_level);
  const all = Buffer.from(`${text}\0`);
  if (level === 0 || logRoom === 0) return { result: -errno, log: EMPTY, logTrueSize: 0, refusal: text.trimEnd() };
  const log = Buffer.from(all.subarray(0, logRoom));
  log[log.length - 1] = 0;
  const isCut = all.length > logRoom;
  return { result: isCut ? -E.ENOSPC : -errno, log, logTrueSize: all.length, refusal: text.trimEnd() };
}

/** The same instructions, with maps named by our own fds. @throws Errno */
function withOwnFds(code: Code, fdArray: Uint8Array, descriptors: Descriptors): Code {
  const array = Buffer.from(fdArray);
  const fromArray = (index: number): number => {
    if (index < 0 || (index + 1) * WORD > array.length) throw new Errno(E.EFAULT);
    return array.readInt32LE(index * WORD);
  };
  const own = (load: Instruction): Instruction => {
    const { imm } = load;
    switch (load.src) {
      case Load64Of.mapFd:
      case Load64Of.mapValue:
        return { ...load, imm: descriptors.take(imm) };
      case Load64Of.mapIndex:
        return { ...load, src: Load64Of.mapFd, imm: descriptors.take(fromArray(imm)) };
      case Load64Of.mapIndexValue:
        return { ...load, src: Load64Of.mapValue, imm: descriptors.take(fromArray(imm)) };
      default:
        return load;
    }
  };
  const loads = notableIn(code).filter((at) => code.opcode(at) === Op.loadImm64);
  return loads.length === 0 ? code : code.with(new Map(loads.map((at) => [at, own(code.at(at))])));
}

/** @throws ProgramError @throws Errno */
function loadAllowed(
  request: LoadRequest,
  kind: Kind,
  code: Code,
  descriptors: Descriptors,
  readLayout: ReadLayout,
): LoadAnswer {
  const attr = Buffer.from(request.attr);
  const program: Program = {
    code,
    functions: { bytes: request.functions, size: attr.readUInt32LE(bpf_attr.func_info_rec_size) },
    lines: { bytes: request.lines, size: attr.readUInt32LE(bpf_attr.line_info_rec_size) },
    relocations: { bytes: request.relocations, size: attr.readUInt32LE(bpf_attr.core_relo_rec_size) },
  };
  const scope: Scope = {
    namespace: request.namespace,
    tasks: { fd: request.tasks, namespaceAt: bpfns_task.ns },
    namespaces: { fd: request.namespaces, ancestorAt: bpfns_namespace.ancestors + request.level * WORD },
  };
  const fds = ownFds(request, attr, descriptors);
  if (request.mode === 'filtered') {
    return answerOf(loadInKernel(request, fds, filter(program, kind, scope), askedLog(request)));
  }
  const refusal = refuseObjects(descriptors.numbers());
  if (refusal) return refused(request, describe(refusal), E.EACCES);
  const { isOpenEnded, ...layout } = readLayout();
  const pidHelper = isOpenEnded || request.pidLevel === 0 ? {} : { pidHelper: pidHelperFor(request) };
  const view = { level: request.pidLevel, userMode: architecture.userMode, ...layout, ...pidHelper };
  const loaded = loadCleared(guessDepths(code), askedLog(request), (depths, log) =>
    loadInKernel(request, fds, confine(program, kind, scope, view, depths), log),
  );
  return answerOf(loaded);
}

/** NR_CPUS is not more than this. */
const MAX_CPUS = 8192;
/** Of struct bpf_pidns_info. */
const PID_ANSWER = 8;
/** Made by the first program that needs it; it ends with this process and the programs. */
let answers: number | undefined;

/** @throws SyscallError */
function pidHelperFor({ pidNamespace }: LoadRequest): PidHelper {
  answers ??= createArray(MAX_CPUS * PID_ANSWER);
  return { ...pidNamespace, answers: { fd: answers, count: MAX_CPUS } };
}

const answerOf = ({ fd, log, logTrueSize }: Loaded): LoadAnswer => ({
  result: fd.release(),
  log,
  logTrueSize,
  refusal: '',
});

/** The descriptors in attr, as our own. @throws Errno */
function ownFds(request: LoadRequest, attr: Buffer, descriptors: Descriptors): OwnFds {
  const counts = [bpf_attr.func_info_cnt, bpf_attr.line_info_cnt, bpf_attr.core_relo_cnt];
  const hasRecords = counts.some((offset) => attr.readUInt32LE(offset) > 0);
  const given = Buffer.from(request.fdArray);
  return {
    btf: hasRecords ? descriptors.take(attr.readInt32LE(bpf_attr.prog_btf_fd)) : 0,
    array: Array.from({ length: attr.readUInt32LE(bpf_attr.fd_array_cnt) }, (_, i) =>
      descriptors.take(given.readInt32LE(i * WORD)),
    ),
  };
}
