/**
 * Memory whose address is known, and which is accessed word by word: for the structures that every
 * answer uses. A Buffer would be looked up by koffi at each call, and byte by byte by its accessors.
 */
import { addressOf } from './libc.js';

export class Block {
  readonly buffer: Buffer;
  /** The same memory as u32 in the machine's order, which is little-endian. */
  readonly words: Uint32Array;
  /** Where it is in this process. */
  readonly address: number;

  /** @param buffer aligned to 4 bytes; a view on the same memory */
  constructor(buffer: Buffer) {
    this.buffer = buffer;
    this.words = new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length >>> 2);
    this.address = placeOf(buffer);
  }

  static alloc(size: number): Block {
    return new Block(Buffer.alloc(size));
  }
}

/** Keep the memory referenced as long as the address is used. */
export function placeOf(memory: Block | Buffer): number {
  return memory instanceof Block ? memory.address : Number(addressOf(memory));
}
