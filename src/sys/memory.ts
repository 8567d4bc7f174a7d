/**
 * A guest's memory. Reads go by process_vm_readv(2), which respects the mapping's
 * protection; they may hit a stranger if the tid was reused, so they count only once
 * the notification proves still valid. Writes go through a /proc/TID/mem that was
 * opened before that check, so they can never reach another process.
 */
import { Fd } from './fd.js';
import { addressOf, O_CLOEXEC, O_RDWR, open, processVmReadv, pwrite } from './libc.js';

/** Two struct iovec. */
const local = Buffer.alloc(16);
const remote = Buffer.alloc(16);
/** What `local` names: mostly the same buffer again. */
let localBuffer: Buffer | undefined;

/** Copies `length` bytes at `address` of thread `tid` into `into`. Returns how many could be read: fewer is EFAULT. */
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

/** Write access to one process's memory, also once its number is another's. */
export function openMemory(tid: number): Fd {
  return new Fd(open(`/proc/${tid}/mem`, O_RDWR | O_CLOEXEC));
}

/** Copies `length` bytes of `from` to `address`; false where the kernel would say EFAULT. */
export function writeMemory(memory: Fd, address: number, from: Buffer, length: number): boolean {
  if (length === 0) return true;
  if (address < 0) return false;
  return pwrite(memory.number, from, length, address) === length;
}
