/** struct sockaddr_un (unix(7)). */

const AF_UNIX = 1;
const PATH = 2;
const SIZE = 110;

/** Encodes a path, or with a leading @ a name in the abstract namespace. */
export function unixAddress(path: string): Buffer {
  const address = Buffer.alloc(SIZE);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path.startsWith('@') ? `\0${path.slice(1)}` : path, PATH);
  return address;
}

/** An abstract name ends at its length, a path at a NUL. */
export function addressLength(path: string): number {
  return PATH + Buffer.byteLength(path) + (path.startsWith('@') ? 0 : 1);
}
