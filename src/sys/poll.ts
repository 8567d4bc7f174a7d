/**
 * Readiness of raw fds on Node's event loop. The only user of koffi.node.poll, which
 * is undocumented and whose types are wrong: the callback gets (status, events).
 */
import koffi from 'koffi';

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
