/**
 * Readiness of raw fds on Node's event loop. The only user of koffi.node.poll, which
 * is undocumented and whose types are wrong: the callback gets (status, events).
 */
import koffi from 'koffi';
import { check } from './errno.js';
import { close, epollCreate1, epollCtl, epollWait } from './libc.js';

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
  /** Stops watching; the fd stays the caller's. */
  close(): void;
}

/**
 * Calls `onReadable` while `fd` is readable, `onEnd` once it has hung up or failed. They
 * are told apart, for reading from a listener that has hung up blocks before Linux 6.11.
 */
export function watch(fd: number, onReadable: () => void, onEnd: () => void = onReadable): Watch {
  const poll = koffi.node.poll as unknown as PollFunction;
  // libuv reports a hang-up as everything that was asked for.
  return poll(fd, { readable: true, disconnect: true }, (_status, { disconnect }) =>
    disconnect ? onEnd() : onReadable(),
  );
}

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLERR = 8;
const EPOLLHUP = 16;
/** struct epoll_event, packed on x86-64: events, then data. */
const EVENT = 12;
const BATCH = 64;
/** How long the next call is waited for before the event loop gets its turn, in ms: the least epoll can. */
const NEXT_CALL_MS = 1;
/** Batches before it gets its turn in any case. */
const BATCHES = 64;

interface Watched {
  readonly onReadable: () => void;
  readonly onEnd: () => void;
}

/**
 * Many fds behind one epoll fd on the event loop, served in batches. A caller that has its
 * answer mostly calls again at once; waiting for that here, without a turn through the
 * event loop and its callbacks, takes about a third off each call (bench/).
 */
export class ReadySet {
  readonly #epoll = check(epollCreate1(EPOLL_CLOEXEC), 'epoll_create1', 'cannot watch listeners');
  readonly #watched = new Map<number, Watched>();
  readonly #events = Buffer.alloc(EVENT * BATCH);
  readonly #watch = watch(this.#epoll, () => this.#serve());

  /** As {@link watch}, for one more fd. */
  add(fd: number, onReadable: () => void, onEnd: () => void): Watch {
    const event = Buffer.alloc(EVENT);
    event.writeUInt32LE(EPOLLIN, 0);
    event.writeInt32LE(fd, 4);
    check(epollCtl(this.#epoll, EPOLL_CTL_ADD, fd, event), 'epoll_ctl', 'cannot watch a listener');
    this.#watched.set(fd, { onReadable, onEnd });
    return {
      close: () => {
        if (this.#watched.delete(fd)) epollCtl(this.#epoll, EPOLL_CTL_DEL, fd, event);
      },
    };
  }

  /** Stops watching; the fds stay the caller's. */
  close(): void {
    this.#watch.close();
    close(this.#epoll);
  }

  #serve(): void {
    for (let batch = 0; batch < BATCHES; batch++) {
      const count = epollWait(this.#epoll, this.#events, BATCH, batch === 0 ? 0 : NEXT_CALL_MS);
      if (count <= 0) return;
      for (let i = 0; i < count; i++) {
        const events = this.#events.readUInt32LE(i * EVENT);
        // One served earlier in the batch may have closed it.
        const watched = this.#watched.get(this.#events.readInt32LE(i * EVENT + 4));
        if ((events & (EPOLLHUP | EPOLLERR)) !== 0) watched?.onEnd();
        else watched?.onReadable();
      }
    }
  }
}
