/**
 * The file of the journal. It outlives the program that made it, so every version reads this much of every other's:
 * u32 magic, u32 version, u32 size of a slot, u32 slots; from byte 64 on the slots; at the beginning of each,
 * u32 token, u32 attempts, u64 id of the notification, or 0. What follows is the version's own.
 */

import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { memfdCreate } from '../sys/libc.js';

/** A new one for each change of what a slot has, or of what is behind the slots. */
const VERSION = 1;
const MAGIC = 0x4a46_5042;
const FIXED = 16;
const MFD_CLOEXEC = 1;

export const HEADER = 64;
/** In a slot. */
export const TOKEN = 0;
export const ATTEMPTS = 4;
export const ID = 8;
/** The number of attempts at a call that is in the journal of another version: nobody knows what was done for it. */
export const UNKNOWN = 0xffff_ffff;

/** What a version lays out. */
export interface Layout {
  readonly slotSize: number;
  readonly slots: number;
  /** Of the file. */
  readonly size: number;
}

/**
 * Creates an empty file. @returns an fd, which the caller keeps as long as the journal matters, or
 * -errno
 */
export function createJournalFile(): number {
  return memfdCreate('bpfns-journal', MFD_CLOEXEC);
}

/**
 * Lays out a file that is not of this version: it is empty, or another version left calls in it. They are all that
 * stays. No other process may use it. If this one is killed here, they are lost.
 */
export function layOut(fd: number, layout: Layout): void {
  const [magic, version, slotSize = 0, slots = 0] = readWords(fd, HEADER, 0);
  if (magic === MAGIC && version === VERSION) return;
  const left = magic === MAGIC ? callsLeft(fd, slotSize, slots) : [];
  ftruncateSync(fd, 0);
  ftruncateSync(fd, layout.size);
  // The first slot is that of the current call.
  for (const [index, call] of left.slice(0, layout.slots - 1).entries()) {
    writeSync(fd, call, 0, FIXED, HEADER + (index + 1) * layout.slotSize);
  }
  writeSync(fd, new Uint32Array([MAGIC, VERSION, layout.slotSize, layout.slots]), 0, FIXED, 0);
}

function callsLeft(fd: number, slotSize: number, slots: number): Uint32Array[] {
  return Array.from({ length: slots }, (_, index) => {
    const [token = 0, , low = 0, high = 0] = readWords(fd, FIXED, HEADER + index * slotSize);
    return new Uint32Array([token, UNKNOWN, low, high]);
  }).filter(([, , low, high]) => low !== 0 || high !== 0);
}

function readWords(fd: number, length: number, position: number): Uint32Array {
  const words = new Uint32Array(length / 4);
  readSync(fd, words, 0, length, position);
  return words;
}
