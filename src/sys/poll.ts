/**
 * Readiness of raw fds on Node's event loop. This is the only user of koffi.node.poll, which is
 * undocumented and has wrong types: the callback gets (status, events).
 */
import { performance } from 'node:perf_hooks';
import koffi from 'koffi';
import { architecture } from './architecture.js';
import { Block } from './block.js';
import { check } from './errno.js';
import { close, epollCreate1, epollCtl, epollWait, poll } from './libc.js';

interface Events {
  readonly readable?: boolean;
  readonly disconnect?: boolean;
}

interface PollHandle {
  close(): void;
  unref(): void;
}

type PollFunction = (
  fd: number,
  options: { readable: boolean; disconnect: boolean },
  callback: (status: number, events: Events) => void,
) => PollHandle;

export interface Watch {
  /** Stops watching. The fd stays the caller's. */
  close(): void;
}

/**
 * Calls `onReadable` while `fd` is readable, and `onEnd` once it has hung up or failed. The two are
 * separate, since before Linux 6.11 a read from a listener that has hung up blocks.
 */
export function watch(fd: number, onReadable: () => void, onEnd: () => void = onReadable): Watch {
  const watchFd = koffi.node.poll as unknown as PollFunction;
  // libuv reports a hang-up as every event that was requested.
  return watchFd(fd, { readable: true, disconnect: true }, (_status, { disconnect }) =>
    disconnect ? onEnd() : onReadable(),
  );
}

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLERR = 8;
const EPOLLHUP = 16;
/** struct epoll_event: events, then data. */
const { sizeof: EVENT, data: DATA } = architecture.epollEvent;
const BATCH = 64;
/** struct pollfd: fd, events, revents. */
const POLLFD = 8;
const POLLIN = 1;
/** poll(2) ignores it. */
const NO_FD = -1;
/** How long to wait for the next call before the event loop runs again, in ms: the smallest value. */
const NEXT_CALL_MS = 1;
/** How many calls of one fd to serve before the others. */
const IN_A_ROW = 8;
/** How many batches to serve before the event loop runs in any case. */
const BATCHES = 64;
/** The same in ms, as some calls take long: commands and timers wait behind the event loop. */
const LONG = 4;

interface Watched {
  readonly onReadable: () => number;
  readonly onEnd: () => void;
}

/**
 * Many fds behind one epoll fd on the event loop, served in batches. A caller that gets its answer
 * usually calls again at once. Waiting for that call here, without the event loop and its
 * callbacks, makes each call about a third faster (bench/).
 */
export class ReadySet {
  readonly #epoll = check(epollCreate1(EPOLL_CLOEXEC), 'epoll_create1', 'cannot watch listeners');
  readonly #watched = new Map<number, Watched>();
  readonly #events = Block.alloc(EVENT * BATCH);
  /** The fd that was served last, and the epoll fd: two of struct pollfd. */
  readonly #next = Block.alloc(POLLFD * 2);
  /** When the last call was answered, by performance.now(). */
  #answered = 0;
  readonly #watch = watch(this.#epoll, () => this.#serve());
  readonly #mayWait: () => boolean;

  /** @param mayWait whether the event loop has nothing else to expect */
  constructor(mayWait: () => boolean) {
    this.#mayWait = mayWait;
    this.#next.buffer.writeInt32LE(NO_FD, 0);
    this.#next.buffer.writeUInt16LE(POLLIN, 4);
    this.#next.buffer.writeInt32LE(this.#epoll, POLLFD);
    this.#next.buffer.writeUInt16LE(POLLIN, POLLFD + 4);
  }

  /**
   * Like {@link watch}, for one more fd.
   * @param onReadable returns when it was done, by performance.now(); 0 if there was nothing to do
   */
  add(fd: number, onReadable: () => number, onEnd: () => void): Watch {
    const event = Buffer.alloc(EVENT);
    event.writeUInt32LE(EPOLLIN, 0);
    event.writeInt32LE(fd, DATA);
    check(epollCtl(this.#epoll, EPOLL_CTL_ADD, fd, event), 'epoll_ctl', 'cannot watch a listener');
    this.#watched.set(fd, { onReadable, onEnd });
    return {
      close: () => {
        if (this.#watched.delete(fd)) epollCtl(this.#epoll, EPOLL_CTL_DEL, fd, event);
        if (this.#last === fd) this.#next.words[0] = NO_FD;
      },
    };
  }

  /** Stops watching. The fds stay the caller's. */
  close(): void {
    this.#watch.close();
    close(this.#epoll);
  }

  /** The fd that was served last. */
  get #last(): number {
    return (this.#next.words[0] ?? 0) | 0;
  }

  #serve(): void {
    const end = performance.now() + LONG;
    this.#answered = 0;
    for (let batch = 0; batch < BATCHES && this.#answered < end; batch++) {
      if (!this.#serveReady() && !this.#serveNext(end)) return;
    }
  }

  /** Serves a batch of the fds that are ready. @returns false if none is */
  #serveReady(): boolean {
    const { words, address } = this.#events;
    const count = epollWait(this.#epoll, address, BATCH, 0);
    for (let i = 0; i < count; i++) {
      const events = words[(i * EVENT) / 4] ?? 0;
      const fd = words[(i * EVENT + DATA) / 4] ?? 0;
      // An fd that was served earlier in the batch may have closed it.
      const watched = this.#watched.get(fd);
      if (!watched) continue;
      this.#next.words[0] = fd;
      if ((events & (EPOLLHUP | EPOLLERR)) !== 0) watched.onEnd();
      else this.#read(watched);
    }
    return count > 0;
  }

  /**
   * Waits for the next call, and serves it if it comes from the fd that was served last. @returns
   * false if none comes in time
   * Waits in poll(2), which the kernel wakes on the caller's own CPU (setSyncWakeUp() in
   * seccomp.ts). A process that waits in epoll is woken on an idle CPU.
   */
  #serveNext(end: number): boolean {
    for (let call = 0; call < IN_A_ROW && this.#answered < end; call++) {
      if (!this.#mayWait() || poll(this.#next.address, 2, NEXT_CALL_MS) <= 0) return false;
      const last = this.#watched.get(this.#last);
      // The upper half of the second word has the events that occurred.
      if (!last || (this.#next.words[1] ?? 0) >>> 16 !== POLLIN) return true;
      this.#read(last);
    }
    return true;
  }

  #read({ onReadable }: Watched): void {
    this.#answered = onReadable() || performance.now();
  }
}
