/** Files that were handed out: which of them is still open, in whatever process? */
import { readFileSync } from 'node:fs';
import { architecture } from './architecture.js';
import { close, epollCreate1, epollCtl } from './libc.js';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const { sizeof: EVENT, data: DATA } = architecture.epollEvent;

/**
 * An epoll instance holds no file open, and forgets one when its last descriptor is closed. Each file
 * has a note of 64 bits.
 */
export class OpenFiles implements Disposable {
  readonly #epoll = epollCreate1(EPOLL_CLOEXEC);

  /** The file must support poll(2). The descriptor stays the caller's. @returns 0 or -errno */
  add(fd: number, note: bigint): number {
    const event = Buffer.alloc(EVENT);
    event.writeBigUInt64LE(note, DATA);
    return epollCtl(this.#epoll, EPOLL_CTL_ADD, fd, event);
  }

  /** Those of the files that are open. */
  notes(): bigint[] {
    const text = readFileSync(`/proc/self/fdinfo/${this.#epoll}`, 'latin1');
    return [...text.matchAll(/^tfd:.* data:\s*([0-9a-f]+)/gm)].map(([, note]) => BigInt(`0x${note}`));
  }

  [Symbol.dispose](): void {
    close(this.#epoll);
  }
}
