/**
 * Access to a guest's memory. Reads use process_vm_readv(2), which respects the protection of the
 * mapping. They may reach another process if the tid was reused, so they count only once the
 * notification proves valid. Writes go through a /proc/TID/mem that was opened before that check,
 * so they never reach another process.
 */
import { Fd } from './fd.js';
import { addressOf, O_CLOEXEC, O_RDWR, open, processVmReadv, pwrite } from './libc.js';

/** Two of struct iovec. */
const local = Buffer.alloc(16);
const remote = Buffer.alloc(16);
/** The buffer that `local` refers to, which is mostly the same again. */
let localBuffer: Buffer | undefined;

/**
 * Copies `length` bytes at `address` of thread `tid` into `into`. @returns how many were read;
 * fewer means EFAULT
 */
export function readMemory(tid: number, address: number, into: Buffer, length: number): number {
  if (length === 0 || address < 0) return 0;
  if (into !== localBuffer) {
    local.writeBigUInt64LE(addressOf(into), 0);
    localBuffer = into;
  }
  local.writeUInt32LE(length, 8);
  writeAddress(remote, address);
  remote.writeUInt32LE(length, 8);
  return Math.max(processVmReadv(tid, local, 1, remote, 1, 0), 0);
}

function writeAddress(buffer: Buffer, address: number): void {
  buffer.writeUInt32LE(address >>> 0, 0);
  buffer.writeUInt32LE((address / 0x100000000) >>> 0, 4);
}

/** Write access to the memory of one process, even if its number passes to another. */
export function openMemory(tid: number): Fd {
  return new Fd(open(`/proc/${tid}/mem`, O_RDWR | O_CLOEXEC));
}

/** Copies `length` bytes of `from` to `address`. @returns false where the kernel would fail with EFAULT */
export function writeMemory(memory: Fd, address: number, from: Buffer, length: number): boolean {
  if (length === 0) return true;
  if (address < 0) return false;
  return pwrite(memory.number, from, length, address) === length;
}
