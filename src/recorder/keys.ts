/** Keys of the recorder's maps. */

/** A key or a value of four bytes. */
export function u32Key(value: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(value);
  return key;
}
