/** Who is at the other end of a unix socket. */
import type { Socket } from 'node:net';
import { getsockopt } from './libc.js';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

export interface PeerCredentials {
  /** As seen from here. */
  readonly pid: number;
  readonly uid: number;
}

/** SO_PEERCRED of a connected unix socket of Node's; undefined if it cannot be told. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  // Node does not publish the descriptor; `_handle.fd` has been there since 0.10.
  const handle = (socket as unknown as { _handle?: { fd?: number } | null })._handle;
  if (handle?.fd === undefined || handle.fd < 0) return undefined;
  const found = credentialsOfPeer(handle.fd);
  return typeof found === 'number' ? undefined : found;
}

/** SO_PEERCRED of a connected unix socket; -errno if it cannot be told. */
export function credentialsOfPeer(fd: number): PeerCredentials | number {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  const result = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length);
  if (result < 0) return result;
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}
