/** Reads one section of a 64-bit little-endian ELF file. */

/** @throws Error if the section does not exist */
export function elfSection(elf: Buffer, wanted: string): Buffer {
  const headersAt = Number(elf.readBigUInt64LE(40));
  const entrySize = elf.readUInt16LE(58);
  const count = elf.readUInt16LE(60);
  const section = (index: number): Buffer => {
    const header = headersAt + index * entrySize;
    const at = Number(elf.readBigUInt64LE(header + 24));
    return elf.subarray(at, at + Number(elf.readBigUInt64LE(header + 32)));
  };
  const names = section(elf.readUInt16LE(62));
  for (let index = 0; index < count; index++) {
    const nameAt = elf.readUInt32LE(headersAt + index * entrySize);
    if (names.toString('latin1', nameAt, names.indexOf(0, nameAt)) === wanted) return section(index);
  }
  throw new Error(`no section ${wanted} in the object file`);
}
