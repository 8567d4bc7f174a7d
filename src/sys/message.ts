/** Messages on unix sockets, with fds (sendmsg(2), recvmsg(2), cmsg(3), unix(7)). */
import { addressOf } from './libc.js';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 8;
/** struct msghdr. */
const HEADER = { name: 0, nameLength: 8, vector: 16, vectorLength: 24, control: 32, controlLength: 40, flags: 48 };
/** struct iovec, directly after it. */
const VECTOR = 56;
/** struct cmsghdr and the fds, after that. */
const CONTROL = VECTOR + 16;
const CMSG = { length: 0, level: 8, type: 12, data: 16 };

/** The size of the control data for this many fds, in bytes: CMSG_SPACE(3). */
function controlSpace(fds: number): number {
  return fds === 0 ? 0 : CMSG.data + Math.ceil((fds * 4) / 8) * 8;
}

/**
 * struct msghdr and everything that it points to, in one buffer. As long as the kernel uses that
 * buffer, nothing is freed.
 */
export class Message {
  /** The address for the system call. */
  readonly buffer: Buffer;
  readonly data: Buffer;
  readonly #control: Buffer;

  /**
   * @param size the size of the data, in bytes
   * @param maxFds the most fds that are sent or received with it
   * @param name the struct sockaddr of the receiver
   */
  constructor(size: number, maxFds: number, name: Buffer = Buffer.alloc(0)) {
    const control = controlSpace(maxFds);
    const [nameAt, dataAt] = [CONTROL + control, CONTROL + control + name.length];
    this.buffer = Buffer.alloc(dataAt + size);
    this.#control = this.buffer.subarray(CONTROL, nameAt);
    this.data = this.buffer.subarray(dataAt);
    name.copy(this.buffer, nameAt);
    const start = addressOf(this.buffer);
    const point = (field: number, at: number, length: number): void => {
      if (length > 0) this.buffer.writeBigUInt64LE(start + BigInt(at), field);
    };
    point(HEADER.name, nameAt, name.length);
    this.buffer.writeUInt32LE(name.length, HEADER.nameLength);
    point(HEADER.vector, VECTOR, 1);
    this.buffer.writeBigUInt64LE(1n, HEADER.vectorLength);
    point(HEADER.control, CONTROL, control);
    this.buffer.writeBigUInt64LE(BigInt(control), HEADER.controlLength);
    point(VECTOR, dataAt, size);
    this.buffer.writeBigUInt64LE(BigInt(size), VECTOR + 8);
  }

  /** Adds an fd to pass. There is room for one. */
  pass(fd: number): void {
    this.#control.writeBigUInt64LE(BigInt(CMSG.data + 4), CMSG.length);
    this.#control.writeInt32LE(SOL_SOCKET, CMSG.level);
    this.#control.writeInt32LE(SCM_RIGHTS, CMSG.type);
    this.#control.writeInt32LE(fd, CMSG.data);
  }

  /** The fds that were received. The receiver closes them. */
  receivedFds(): number[] {
    const used = Number(this.buffer.readBigUInt64LE(HEADER.controlLength));
    const isRights =
      used >= CMSG.data &&
      this.#control.readInt32LE(CMSG.level) === SOL_SOCKET &&
      this.#control.readInt32LE(CMSG.type) === SCM_RIGHTS;
    const fds: number[] = [];
    if (!isRights) return fds;
    const end = Math.min(Number(this.#control.readBigUInt64LE(CMSG.length)), used);
    for (let at = CMSG.data; at + 4 <= end; at += 4) fds.push(this.#control.readInt32LE(at));
    return fds;
  }

  /** Whether fds were lost because there was no room. */
  get isTruncated(): boolean {
    return (this.buffer.readInt32LE(HEADER.flags) & MSG_CTRUNC) !== 0;
  }
}
