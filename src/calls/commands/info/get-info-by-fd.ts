/**
 * BPF_OBJ_GET_INFO_BY_FD: calls it on a copy of the caller's fd, into the agent's memory, rewrites
 * every id, and copies the answer and its arrays back.
 */
import { Block } from '../../../sys/block.js';
import { MAX_STRUCT, getInfoByFd as queryInfo } from '../../../sys/bpf.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import { bpf_attr } from '../../../sys/kernel.gen.js';
import { addressOf } from '../../../sys/libc.js';
import { isNull, readPointer } from '../../../sys/seccomp.js';
import { type Call, hasSetByte, type Reply } from '../../call.js';
import type { Services } from '../../services.js';
import { readBpfAttr } from '../bpf-attr.js';
import type { SeenPath } from '../pins/path-request.js';
import { type InfoArray, type InfoShape, infoShapes, type Request } from './shapes.js';
import { isOfUprobes, seeAsCaller, showAsSeen, withRoomForPath } from './uprobes.js';

/** The most memory that one call may make the agent allocate, in bytes. The largest program fits. */
export const MAX_ARRAYS = 64 * 1024 * 1024;

/** Reads attr and what the caller has in the info structure. */
export function readInfoRequest(call: Call, services: Services): Reply | undefined {
  const settled = readBpfAttr(call, services);
  if (settled !== undefined) return settled;
  if (call.hasUnknownBits(bpf_attr.info_info + 8)) return -E.EINVAL;
  call.readSecond(readPointer(call.attr, bpf_attr.info_info), call.attr.readUInt32LE(bpf_attr.info_info_len));
  return undefined;
}

/** Order of checks as in bpf_obj_get_info_by_fd() and bpf_*_get_info_by_fd() (kernel/bpf/syscall.c, btf.c). */
export function getInfoByFd(call: Call, services: Services): Reply | Promise<Reply> {
  const { fd: copy, kind } = call.caller.takeObject(call.attr.readInt32LE(bpf_attr.info_bpf_fd));
  using fd = copy;
  if (!fd.isOpen) return -E.EBADFD;
  const shape = kind && infoShapes[kind];
  return shape ? answer(call, services, fd, shape) : notAnObject(fd.number);
}

/** The kernel's error for another kind of file: EINVAL, or EBADFD if it was opened with O_PATH. */
function notAnObject(fd: number): number {
  return Math.min(queryInfo(fd, nothing, 0), 0) || -E.EINVAL;
}

/** The info structure that the kernel fills. Every call reuses it. */
const givenBlock = Block.alloc(MAX_STRUCT);
const given = givenBlock.buffer;
const nothing = Buffer.alloc(MAX_STRUCT);
/** The kernel's length of each structure, once it is known: what lies behind need not be asked for. */
const lengths = new Map<InfoShape, number>();

/** Makes {@link given} zero as far as the kernel and we look at it. */
function clear(shape: InfoShape): void {
  given.fill(0, 0, Math.max(shape.sizeof, lengths.get(shape) ?? MAX_STRUCT));
}

/** Fills {@link given} from its inputs. @returns as queryInfo() */
function query(call: Call, fd: number, shape: InfoShape): number {
  const length = call.asCaller(() => queryInfo(fd, givenBlock, lengths.get(shape) ?? MAX_STRUCT));
  if (length >= 0) lengths.set(shape, length);
  return length;
}

/** What the caller asks for, checked. */
interface Question {
  readonly shape: InfoShape;
  /** The caller's structure, its address and its length. */
  readonly asked: Buffer;
  readonly address: number;
  readonly length: number;
  /** The length that the kernel knows. */
  readonly kernelLength: number;
}

function answer(call: Call, services: Services, fd: Fd, shape: InfoShape): Reply | Promise<Reply> {
  const address = readPointer(call.attr, bpf_attr.info_info);
  const length = call.attr.readUInt32LE(bpf_attr.info_info_len);
  if (length > MAX_STRUCT) return -E.E2BIG;
  const { buffer: asked, length: readable } = call.second;

  // The first call has no arrays. It shows the kind, the length of the arrays, and what the kernel
  // knows.
  clear(shape);
  const kernelLength = query(call, fd.number, shape);
  if (kernelLength < 0) return kernelLength;
  if (hasSetByte(asked, kernelLength, readable)) return -E.E2BIG;
  if (readable < length) return -E.EFAULT;
  const question = { shape, asked, address, length, kernelLength };
  if (shape === infoShapes.link && isOfUprobes(given)) return answerAsSeen(call, services, fd, question);
  return fill(call, fd.number, question);
}

/** The answer depends on the caller's root directory, which takes another thread to look from. */
async function answerAsSeen(call: Call, services: Services, taken: Fd, question: Question): Promise<Reply> {
  using fd = new Fd(taken.release());
  // The next call reuses both.
  const [first, asked] = [Buffer.from(given), Buffer.from(question.asked)];
  const seen = await seeAsCaller(call, services, fd.number, asked);
  first.copy(given);
  return fill(call, fd.number, { ...question, asked }, seen);
}

/** Asks for the arrays, and answers. {@link given} has the answer without arrays. */
function fill(call: Call, fd: number, question: Question, seen?: SeenPath): Reply {
  const { shape, asked, address, length, kernelLength } = question;
  const wanted = requestedArrays(shape.arrays(given), asked, given);
  if (!wanted) return -E.ENOMEM;
  const requests = seen ? withRoomForPath(wanted) : wanted;
  let status = 0;
  const inputs = shape.inputs.filter((field) => asked.readUInt32LE(field) !== 0);
  if (requests.length > 0 || inputs.length > 0) {
    clear(shape);
    for (const field of inputs) asked.copy(given, field, field, field + 4);
    for (const { array, buffer, count, hasPointer } of requests) {
      given.writeBigUInt64LE(hasPointer ? addressOf(buffer) : 0n, array.pointer);
      given.writeUInt32LE(count, array.count);
    }
    const result = query(call, fd, shape);
    // A truncated string gives ENOSPC, but is delivered.
    if (result < 0 && result !== -E.ENOSPC) return result;
    status = Math.min(result, 0);
  }
  if (seen) {
    if (seen.result < 0) return seen.result;
    showAsSeen(given, requests, seen, call.caller.directory);
  }
  shape.translate(given, (kind, host) => call.idIn(kind, host), requests);
  for (const request of requests) {
    // The kernel clears a pointer that it does not serve. Otherwise the caller gets its own pointer
    // back.
    const { pointer } = request.array;
    if (isNull(given, pointer)) continue;
    asked.copy(given, pointer, pointer, pointer + 8);
    if (!call.write(request.address, request.buffer, bytesToCopy(request))) return -E.EFAULT;
  }
  if (status < 0 && !shape.answersWhenCut) return status;
  // Fields that a later kernel adds are not passed on, as they might be ids.
  const known = Math.min(length, kernelLength, shape.sizeof);
  if (!call.write(address, givenBlock, known)) return -E.EFAULT;
  // Mostly the caller has that length there already.
  return known === length || call.writeAttr(bpf_attr.info_info_len, known) ? status : -E.EFAULT;
}

/** Of a string the kernel writes only the characters, not the whole room. */
function bytesToCopy({ array, buffer, room }: Request): number {
  return array.isString ? Math.min(room, buffer.indexOf(0) + 1) : room;
}

/** The requested arrays; undefined if they exceed {@link MAX_ARRAYS}. */
function requestedArrays(arrays: readonly InfoArray[], from: Buffer, actual: Buffer): Request[] | undefined {
  const requests: Request[] = [];
  let total = 0;
  for (const array of arrays) {
    const wanted = from.readUInt32LE(array.count);
    const hasPointer = !isNull(from, array.pointer);
    if (wanted === 0 && !hasPointer) continue;
    // Strings and hashes keep the caller's room, up to a limit, as the kernel checks it. Other
    // arrays never exceed what exists.
    const limit = array.isString || array.hasFixedLength ? MAX_STRUCT : actual.readUInt32LE(array.count);
    const count = Math.min(wanted, limit);
    const size = count * (typeof array.size === 'number' ? array.size : actual.readUInt32LE(array.size.field));
    total += size;
    if (total > MAX_ARRAYS) return undefined;
    requests.push({
      array,
      address: readPointer(from, array.pointer),
      count: Math.max(count, Math.min(wanted, 1)),
      room: size,
      hasPointer,
      buffer: Buffer.alloc(Math.max(size, 64)),
    });
  }
  return requests;
}
