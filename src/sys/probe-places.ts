/**
 * Where a breakpoint may be put in an ELF file: only where it is known that an instruction begins. One
 * in the middle of an instruction changes what everybody executes who runs the file. The file may be hostile,
 * and may change while it is read: nothing is believed but for the file itself.
 */

/** Copies bytes of the file. @returns fewer than `length` at its end */
export type ReadAt = (into: Buffer, length: number, at: number) => number;

/** What is at an offset of the file. */
export interface Place {
  /** A function begins there, which is entered by a call: there is a return address. */
  readonly isFunction: boolean;
  /** A USDT probe is there: the offset of its semaphore, or 0 if it has none, for each note. */
  readonly semaphores: readonly number[];
}

/** Not an ELF file whose places can be known: why. */
export class NoElf extends Error {}

/** Of program headers and section headers. */
const MAX_HEADERS = 4096;
/** Of all symbols: 2 million. */
const MAX_SYMBOLS = 48 * 1024 * 1024;
const MAX_NOTES = 4 * 1024 * 1024;
/** Of one place: addresses, and notes. More make the search slow. */
const MAX_ADDRESSES = 4;
const MAX_PROBES = 64;
const CHUNK = 24 * 32_768;

const ELF_MAGIC = 0x464c457f;
const CLASS_64_LITTLE_ENDIAN = 0x0102;
const PT_LOAD = 1;
const PF_X = 1;
const PF_W = 2;
const SYMBOL_TABLES: readonly number[] = [2, 11]; // SHT_SYMTAB, SHT_DYNSYM
const SHT_NOTE = 7;
const SYMBOL_SIZE = 24;
/** STT_FUNC, STT_GNU_IFUNC. */
const FUNCTIONS: readonly number[] = [2, 10];
const NT_STAPSDT = 3;
const OWNER = 'stapsdt\0';
const STAPSDT_BASE = '.stapsdt.base';

interface Segment {
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

interface Section {
  readonly name: number;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
}

interface Elf {
  readonly entry: number;
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
  /** The section with the names of sections. */
  readonly names: Section | undefined;
}

/** undefined if nothing is known to begin there. @throws NoElf */
export function placeAt(offset: number, read: ReadAt): Place | undefined {
  const elf = readHeaders(read);
  const addresses = addressesOf(offset, elf.segments);
  if (addresses.length === 0) return undefined;
  if (addresses.length > MAX_ADDRESSES) throw new NoElf('its segments overlap');
  const semaphores = probesAt(addresses, elf, read);
  // A program is not called: its first word on the stack is not an address to return to.
  const isEntry = addresses.includes(elf.entry);
  const isFunction = !isEntry && hasFunctionAt(addresses, elf.sections, read);
  return isEntry || isFunction || semaphores.length > 0 ? { isFunction, semaphores } : undefined;
}

function bytes(read: ReadAt, length: number, at: number): Buffer {
  const buffer = Buffer.alloc(length);
  if (read(buffer, length, at) < length) throw new NoElf('it is cut short');
  return buffer;
}

/** No offset or address of interest needs more than 53 bits. */
function long(buffer: Buffer, at: number): number {
  const value = Number(buffer.readBigUInt64LE(at));
  return Number.isSafeInteger(value) ? value : Number.MAX_SAFE_INTEGER;
}

function readHeaders(read: ReadAt): Elf {
  const start = Buffer.alloc(6);
  read(start, start.length, 0);
  if (start.readUInt32LE(0) !== ELF_MAGIC || start.readUInt16LE(4) !== CLASS_64_LITTLE_ENDIAN) {
    throw new NoElf('it is not a 64-bit ELF file');
  }
  const header = bytes(read, 64, 0);
  const table = (at: number, sizeAt: number, wanted: number): Buffer[] => {
    const [size, count] = [header.readUInt16LE(sizeAt), header.readUInt16LE(sizeAt + 2)];
    if (count === 0) return [];
    if (size !== wanted || count > MAX_HEADERS) throw new NoElf('its headers are unusual');
    const all = bytes(read, size * count, long(header, at));
    return Array.from({ length: count }, (_, i) => all.subarray(i * size, (i + 1) * size));
  };
  const sections = table(40, 58, 64).map(
    (each): Section => ({
      name: each.readUInt32LE(0),
      type: each.readUInt32LE(4),
      address: long(each, 16),
      offset: long(each, 24),
      size: long(each, 32),
    }),
  );
  const segments = table(32, 54, 56)
    .filter((each) => each.readUInt32LE(0) === PT_LOAD)
    .map(
      (each): Segment => ({
        flags: each.readUInt32LE(4),
        offset: long(each, 8),
        address: long(each, 16),
        size: long(each, 32),
      }),
    );
  return { entry: long(header, 24), segments, sections, names: sections[header.readUInt16LE(62)] };
}

/** Where a place of the file is in memory, as far as it is executable. */
function addressesOf(offset: number, segments: readonly Segment[]): number[] {
  return segments
    .filter((each) => (each.flags & PF_X) !== 0 && offset >= each.offset && offset - each.offset < each.size)
    .map((each) => offset - each.offset + each.address);
}

function hasFunctionAt(addresses: readonly number[], sections: readonly Section[], read: ReadAt): boolean {
  const chunk = Buffer.alloc(CHUNK);
  let left = MAX_SYMBOLS;
  for (const { type, offset, size } of sections) {
    if (!SYMBOL_TABLES.includes(type)) continue;
    for (let done = 0; done < size; done += CHUNK) {
      const length = Math.min(CHUNK, size - done);
      left -= length;
      if (left < 0) throw new NoElf('it has too many symbols');
      const got = read(chunk, length, offset + done);
      if (hasFunctionIn(chunk, got, addresses)) return true;
      if (got < length) break;
    }
  }
  return false;
}

/** struct Elf64_Sym: name, info, other, section, value, size. */
function hasFunctionIn(symbols: Buffer, length: number, addresses: readonly number[]): boolean {
  for (const address of addresses) {
    const low = address % 2 ** 32;
    for (let at = 0; at + SYMBOL_SIZE <= length; at += SYMBOL_SIZE) {
      if (symbols.readUInt32LE(at + 8) !== low || long(symbols, at + 8) !== address) continue;
      const isDefined = symbols.readUInt16LE(at + 6) !== 0;
      if (isDefined && FUNCTIONS.includes(symbols.readUInt8(at + 4) & 15)) return true;
    }
  }
  return false;
}

/** The semaphores of the USDT probes at these addresses. */
function probesAt(addresses: readonly number[], { segments, sections, names }: Elf, read: ReadAt): number[] {
  const found: number[] = [];
  const realBase = baseAddress(sections, names, read);
  let left = MAX_NOTES;
  for (const { type, offset, size } of sections) {
    if (type !== SHT_NOTE || size === 0) continue;
    left -= size;
    if (left < 0) throw new NoElf('it has too many notes');
    const notes = bytes(read, size, offset);
    for (const { location, base, semaphore } of probesIn(notes)) {
      // Both addresses are as far off as the base is (prelinked files).
      const moved = (realBase ?? base) - base;
      if (!addresses.includes(location + moved)) continue;
      if (found.length === MAX_PROBES) throw new NoElf('it has too many notes of one place');
      found.push(semaphore === 0 ? 0 : writableOffset(semaphore + moved, segments));
    }
  }
  return found;
}

interface Probe {
  readonly location: number;
  readonly base: number;
  readonly semaphore: number;
}

/** Notes of type NT_STAPSDT: the sizes of owner and contents, the type, and both, each filled up to 4 bytes. */
function* probesIn(notes: Buffer): Generator<Probe> {
  const filled = (size: number): number => Math.ceil(size / 4) * 4;
  for (let at = 0; at + 12 <= notes.length; ) {
    const ownerSize = notes.readUInt32LE(at);
    const size = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const owner = at + 12;
    const contents = owner + filled(ownerSize);
    at = contents + filled(size);
    if (contents + size > notes.length) return;
    if (type !== NT_STAPSDT || size < 24 || notes.toString('latin1', owner, owner + ownerSize) !== OWNER) continue;
    yield { location: long(notes, contents), base: long(notes, contents + 8), semaphore: long(notes, contents + 16) };
  }
}

/** Where the section is now that notes give their base as. */
function baseAddress(sections: readonly Section[], names: Section | undefined, read: ReadAt): number | undefined {
  if (!names) return undefined;
  const wanted = Buffer.from(`${STAPSDT_BASE}\0`);
  const name = Buffer.alloc(wanted.length);
  return sections.find((each) => {
    const isInside = each.name + wanted.length <= names.size;
    return isInside && read(name, name.length, names.offset + each.name) === name.length && name.equals(wanted);
  })?.address;
}

/** The offset of a semaphore in the file. @throws NoElf */
function writableOffset(address: number, segments: readonly Segment[]): number {
  const segment = segments.find(
    (each) => (each.flags & PF_W) !== 0 && address >= each.address && address - each.address < each.size,
  );
  if (!segment) throw new NoElf('a semaphore is not in memory that can be written');
  return address - segment.address + segment.offset;
}
