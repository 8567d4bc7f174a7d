/** A listening unix stream socket whose peers pass file descriptors, which Node's own cannot receive. */
import { chmodSync, rmSync } from 'node:fs';
import { check, SyscallError } from './errno.js';
import { accept4, addressOf, bind, close, listen, recvmsg, socket } from './libc.js';
import { type Watch, watch } from './poll.js';
import { credentialsOfPeer, type PeerCredentials } from './socket.js';
import { addressLength, unixAddress } from './unix-address.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 8;
const EAGAIN = 11;
const BACKLOG = 128;

/** Most fds taken from one message; more is refused (MSG_CTRUNC). */
const MAX_FDS = 16;

export interface Received {
  readonly bytes: Buffer;
  /** The receiver's to close, close-on-exec. */
  readonly fds: readonly number[];
  /** Fds were lost: the message cannot be trusted. */
  readonly isTruncated: boolean;
}

/** One accepted connection. Close it when done. */
export class FdConnection {
  readonly #fd: number;
  #watch: Watch | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** SO_PEERCRED. @throws SyscallError */
  peer(): PeerCredentials {
    const found = credentialsOfPeer(this.#fd);
    if (typeof found === 'number') throw new SyscallError(-found, 'getsockopt', 'cannot tell the peer');
    return found;
  }

  /** Calls `onData` for each message; with no bytes when the peer has closed or the socket failed. */
  onData(onData: (received: Received) => void): void {
    this.#watch = watch(this.#fd, () => {
      const received = receiveOnce(this.#fd);
      if (received) onData(received);
    });
  }

  close(): void {
    this.#watch?.close();
    close(this.#fd);
  }
}

/** undefined: nothing there after all. */
function receiveOnce(fd: number): Received | undefined {
  const bytes = Buffer.alloc(65536);
  const control = Buffer.alloc(16 + MAX_FDS * 4);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(bytes), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(addressOf(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const length = recvmsg(fd, header, MSG_CMSG_CLOEXEC);
  if (length === -EAGAIN) return undefined;
  const isTruncated = (header.readInt32LE(48) & MSG_CTRUNC) !== 0;
  const used = Number(header.readBigUInt64LE(40));
  const fds: number[] = [];
  const isRights = used >= 16 && control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS;
  if (isRights) {
    const end = Math.min(Number(control.readBigUInt64LE(0)), used);
    for (let at = 16; at + 4 <= end; at += 4) fds.push(control.readInt32LE(at));
  }
  return { bytes: bytes.subarray(0, Math.max(length, 0)), fds, isTruncated };
}

export class FdListener {
  readonly #fd: number;
  readonly #path: string;
  readonly #watch: Watch;

  /** Replaces whatever is at `path`. @throws SyscallError */
  constructor(path: string, onConnection: (connection: FdConnection) => void) {
    this.#path = path;
    this.#fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', 'cannot make a socket');
    rmSync(path, { force: true });
    check(bind(this.#fd, unixAddress(path), addressLength(path)), 'bind', `cannot listen at '${path}'`);
    chmodSync(path, 0o600);
    check(listen(this.#fd, BACKLOG), 'listen', `cannot listen at '${path}'`);
    this.#watch = watch(this.#fd, () => {
      const connection = accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (connection >= 0) onConnection(new FdConnection(connection));
    });
  }

  close(): void {
    this.#watch.close();
    close(this.#fd);
    rmSync(this.#path, { force: true });
  }
}
