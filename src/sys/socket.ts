/** Who is at the other end of a unix socket. */
import type { Socket } from 'node:net';
import { getsockopt } from './libc.js';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

/** SO_PEERCRED of a connected unix socket: its pid as seen from here. undefined if it cannot be told. */
export function peerCredentials(socket: Socket): { pid: number; uid: number } | undefined {
  // Node does not publish the descriptor; `_handle.fd` has been there since 0.10.
  const handle = (socket as unknown as { _handle?: { fd?: number } | null })._handle;
  if (handle?.fd === undefined || handle.fd < 0) return undefined;
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  if (getsockopt(handle.fd, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0) return undefined;
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}
