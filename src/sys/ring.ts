/**
 * Reads a BPF ring buffer (kernel/bpf/ringbuf.c) in its own memory. libbpf's reader calls back for
 * each record, and koffi never frees some memory of such a call's arguments.
 */
import { getInfoByFd } from './bpf.js';
import { check } from './errno.js';
import { bpf_map_info } from './kernel.gen.js';
import { mapReadOnly, mapShared } from './libc.js';

const PAGE = 4096;
/** struct bpf_ringbuf_hdr: u32 length with two flags, u32 page offset. The record follows. */
const HEADER = 8;
const BUSY = 1 << 31;
const DISCARDED = 1 << 30;
const LENGTH = ~(BUSY | DISCARDED);

export class Ring {
  readonly #onRecord: (record: Buffer) => void;
  /** The positions of the reader and of the writer: u64 byte counters that never wrap. */
  readonly #read: BigUint64Array;
  readonly #written: BigUint64Array;
  /** The lower words of the same: a ring that is smaller than 4 GiB is empty if they are equal. */
  readonly #readLow: Int32Array;
  readonly #writtenLow: Int32Array;
  readonly #size: number;
  /** The ring is mapped twice in a row, so that no record is split. */
  readonly #data: Buffer;
  readonly #words: Int32Array;

  /**
   * Maps the ring for the life of the process: create one per map. The fd stays the caller's.
   * @param onRecord gets a record in the ring itself: read it at once, and do not keep it
   * @throws SyscallError
   */
  constructor(mapFd: number, onRecord: (record: Buffer) => void) {
    this.#onRecord = onRecord;
    const info = Buffer.alloc(bpf_map_info.sizeof);
    check(getInfoByFd(mapFd, info, info.length), 'bpf', 'cannot tell the size of the event ring');
    this.#size = info.readUInt32LE(bpf_map_info.max_entries);
    const read = mapShared(mapFd, PAGE);
    const written = mapReadOnly(mapFd, PAGE + 2 * this.#size, PAGE);
    this.#read = new BigUint64Array(read.buffer, read.byteOffset, 1);
    this.#written = new BigUint64Array(written.buffer, written.byteOffset, 1);
    this.#readLow = new Int32Array(read.buffer, read.byteOffset, 1);
    this.#writtenLow = new Int32Array(written.buffer, written.byteOffset, 1);
    this.#data = written.subarray(PAGE);
    this.#words = new Int32Array(this.#data.buffer, this.#data.byteOffset, (2 * this.#size) / 4);
  }

  /** Reads the records that are there now, not those that arrive meanwhile. @returns their number */
  consume(): number {
    if (Atomics.load(this.#readLow, 0) === Atomics.load(this.#writtenLow, 0)) return 0;
    const end = Atomics.load(this.#written, 0);
    let records = 0;
    for (let at = Atomics.load(this.#read, 0); at < end; records++) {
      const start = Number(at % BigInt(this.#size));
      const header = Atomics.load(this.#words, start / 4);
      if ((header & BUSY) !== 0) break; // reserved, but not committed yet
      const length = header & LENGTH;
      at += BigInt((HEADER + length + 7) & ~7);
      try {
        if ((header & DISCARDED) === 0) this.#onRecord(this.#data.subarray(start + HEADER, start + HEADER + length));
      } finally {
        Atomics.store(this.#read, 0, at);
      }
    }
    return records;
  }
}
