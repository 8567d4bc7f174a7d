/** A listening unix stream socket whose peers pass file descriptors. Node's own sockets cannot receive these. */
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { check } from './errno.js';
import { ForeignFd, ownerOfUid } from './foreign-fd.js';
import { accept4, bind, close, listen, recvmsg, socket } from './libc.js';
import { Message } from './message.js';
import { type Watch, watch } from './poll.js';
import { credentialsOfPeer, type PeerCredentials } from './socket.js';
import { addressLength, unixAddress } from './unix-address.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const BACKLOG = 128;

/** The most bytes that are read at once. */
const MAX_BYTES = 65536;
/** The most fds in one message. A message with more is refused. */
const MAX_FDS = 16;
/** What the kernel passes at most. It would itself close those for which there is no room, which may take long. */
const SCM_MAX_FD = 253;

export interface Received {
  readonly bytes: Buffer;
  /** The receiver closes them. They are close-on-exec. */
  readonly fds: readonly number[];
  /** True if there were more fds than are taken: the message cannot be trusted. */
  readonly isTruncated: boolean;
}

/** One accepted connection. Close it when done. */
export class FdConnection {
  readonly #fd: ForeignFd;
  #watch: Watch | undefined;

  /** With it are closed files that the peer has sent and nobody has taken. */
  constructor(fd: number, uid: number) {
    this.#fd = new ForeignFd(fd, ownerOfUid(uid));
  }

  /** SO_PEERCRED. @throws SyscallError */
  peer(): PeerCredentials {
    return credentialsOfPeer(this.#fd.number);
  }

  /** Calls `onData` for each message, and with no bytes when the peer has closed or the socket failed. */
  onData(onData: (received: Received) => void): void {
    this.#watch = watch(this.#fd.number, () => {
      const received = receiveOnce(this.#fd.number);
      if (received) onData(received);
    });
  }

  close(): void {
    this.#watch?.close();
    this.#fd.close();
  }
}

/** Undefined if there was nothing. */
function receiveOnce(fd: number): Received | undefined {
  const message = new Message(MAX_BYTES, SCM_MAX_FD);
  const length = recvmsg(fd, message.buffer, MSG_CMSG_CLOEXEC);
  if (length === -EAGAIN) return undefined;
  const bytes = message.data.subarray(0, Math.max(length, 0));
  const fds = message.receivedFds();
  return { bytes, fds, isTruncated: message.isTruncated || fds.length > MAX_FDS };
}

/** Datagrams with fds, at a path that only root may send to. */
export class FdReceiver {
  readonly #fd: number;
  readonly #path: string;
  readonly #watch: Watch;

  /** Listens at `path`, and replaces whatever is there. @throws SyscallError */
  constructor(path: string, onMessage: (received: Received) => void) {
    this.#path = path;
    this.#fd = boundSocket(path, SOCK_DGRAM);
    this.#watch = watch(this.#fd, () => {
      const received = receiveOnce(this.#fd);
      if (received) onMessage(received);
    });
  }

  close(): void {
    this.#watch.close();
    close(this.#fd);
    rmSync(this.#path, { force: true });
  }
}

function boundSocket(path: string, type: number): number {
  const fd = check(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', 'cannot make a socket');
  rmSync(path, { force: true });
  check(bind(fd, unixAddress(path), addressLength(path)), 'bind', `cannot listen at '${path}'`);
  chmodSync(path, 0o600);
  return fd;
}

export class FdListener {
  readonly #fd: number;
  readonly #path: string;
  readonly #watch: Watch;

  /**
   * Listens at `path`, in a directory of root's, and replaces whatever is there.
   * @param uid who alone may connect, besides root @throws SyscallError
   */
  constructor(path: string, onConnection: (connection: FdConnection) => void, uid = 0) {
    this.#path = path;
    this.#fd = boundSocket(path, SOCK_STREAM);
    if (uid !== 0) chownSync(path, uid, 0);
    check(listen(this.#fd, BACKLOG), 'listen', `cannot listen at '${path}'`);
    this.#watch = watch(this.#fd, () => {
      const connection = accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (connection >= 0) onConnection(new FdConnection(connection, uid));
    });
  }

  close(): void {
    this.#watch.close();
    close(this.#fd);
    rmSync(this.#path, { force: true });
  }
}
