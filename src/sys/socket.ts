/** The process at the other end of a unix socket. */
import type { Server, Socket } from 'node:net';
import { check, E } from './errno.js';
import { Fd } from './fd.js';
import { getsockopt, setsockopt } from './libc.js';
import { openProcess } from './task.js';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const SO_PEERPIDFD = 77;
const SO_PASSRIGHTS = 83;

export interface PeerCredentials {
  /** As seen from this process. */
  readonly pid: number;
  readonly uid: number;
}

/** SO_PEERCRED of a unix socket of Node's; undefined if it is closed. @throws SyscallError */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const number = descriptorOf(socket);
  return number < 0 ? undefined : credentialsOfPeer(number);
}

function descriptorOf(socket: Socket | Server): number {
  // Node does not publish the descriptor; `_handle.fd` has been there since 0.10.
  const handle = (socket as unknown as { _handle?: { fd?: number } | null })._handle;
  return handle?.fd ?? -E.EBADF;
}

/**
 * A pidfd of the process that connected a unix socket of Node's (SO_PEERPIDFD, 6.5; before that, of
 * the process that has its pid now). -errno if the process is gone, or the socket is closed.
 */
export function peerPidfd(socket: Socket): Fd {
  const number = descriptorOf(socket);
  if (number < 0) return new Fd(number);
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const result = getsockopt(number, SOL_SOCKET, SO_PEERPIDFD, value, length);
  if (result === -E.ENOPROTOOPT) return openProcess(credentialsOfPeer(number).pid);
  return new Fd(result < 0 ? result : value.readInt32LE(0));
}

/**
 * Has nobody send files to a unix socket of Node's, or to those that it accepts: the kernel itself
 * would close them here, and that may take long (foreign-fd.ts). @returns -ENOPROTOOPT before 6.16
 */
export function refuseFiles(server: Server): number {
  return setsockopt(descriptorOf(server), SOL_SOCKET, SO_PASSRIGHTS, Buffer.alloc(4), 4);
}

/** SO_PEERCRED of a connected unix socket. @throws SyscallError */
export function credentialsOfPeer(fd: number): PeerCredentials {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length), 'getsockopt', 'cannot tell the peer');
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}
