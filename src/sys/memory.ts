/**
 * Access to a guest's memory. Reads use process_vm_readv(2), which respects the protection of the
 * mapping. They may reach another process if the tid was reused, so they count only once the
 * notification proves valid. Writes go through a /proc/TID/mem that was opened before that check,
 * so they never reach another process.
 */
import { Block, placeOf } from './block.js';
import { Fd } from './fd.js';
import { O_CLOEXEC, O_RDWR, open, SYS, syscall4, syscall6 } from './libc.js';

/** struct iovec: address, length; the upper half of the length stays 0. */
const local = Block.alloc(16);
const remote = Block.alloc(16);

function describe({ words }: Block, address: number, length: number): void {
  words[0] = address; // modulo 2^32
  words[1] = address / 0x100000000;
  words[2] = length;
}

/**
 * Copies `length` bytes at `address` of thread `tid` into `into`. @returns how many were read;
 * fewer means EFAULT
 */
export function readMemory(tid: number, address: number, into: Block | Buffer, length: number): number {
  if (length === 0 || address < 0) return 0;
  describe(local, placeOf(into), length);
  describe(remote, address, length);
  return Math.max(syscall6(SYS.process_vm_readv, tid, local.address, 1, remote.address, 1, 0), 0);
}

/** Write access to the memory of one process, even if its number passes to another. */
export class ProcessMemory extends Fd {
  #tid = 0;
  #started = 0;

  /** A thread of the process was proved to have this number. @param started when it started */
  noteProof(tid: number, started: number): void {
    this.#tid = tid;
    this.#started = started;
  }

  /** Whether it is the thread of the last proof. */
  belongsTo(tid: number, started: number): boolean {
    return this.#tid === tid && this.#started === started;
  }
}

export function openMemory(tid: number): ProcessMemory {
  return new ProcessMemory(open(`/proc/${tid}/mem`, O_RDWR | O_CLOEXEC));
}

/** Copies `length` bytes of `from` to `address`. @returns false where the kernel would fail with EFAULT */
export function writeMemory(memory: Fd, address: number, from: Block | Buffer, length: number): boolean {
  if (length === 0) return true;
  if (address < 0) return false;
  return syscall4(SYS.pwrite64, memory.number, placeOf(from), length, address) === length;
}
