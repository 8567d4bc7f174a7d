/** C strings in structures. */

/** The text at `offset` up to its NUL, or all `room` bytes if there is none. */
export function cString(buffer: Buffer, offset: number, room: number): string {
  const end = buffer.indexOf(0, offset);
  return buffer.toString('utf8', offset, end < 0 || end > offset + room ? offset + room : end);
}
