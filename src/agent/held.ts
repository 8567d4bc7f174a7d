/** The agent's side of its holder. */

import { close } from '../sys/libc.js';
import { getFd, openProcess } from '../sys/task.js';
import type { FromHolder, HeldListener, ToHolder } from './holder-protocol.js';
import { Journal } from './journal.js';

/** What the holder gave an agent to begin with. */
export interface Beginning {
  readonly journal: Journal;
  /** Copies of our own of the listeners that earlier agents served. */
  readonly listeners: readonly HeldListener[];
}

export class HolderLink {
  readonly #waiting = new Map<number, (token: number) => void>();
  #nextRequest = 1;

  constructor() {
    process.on('message', (message: FromHolder) => {
      if (message.op !== 'held') return;
      this.#waiting.get(message.request)?.(message.token);
      this.#waiting.delete(message.request);
    });
    // The holder died: we go on serving with our own copies, but would not survive a crash now.
    process.once('disconnect', () => {
      for (const done of this.#waiting.values()) done(0);
      this.#waiting.clear();
    });
  }

  /** Resolves once the holder has said what there is. */
  begin(): Promise<Beginning> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromHolder): void => {
        if (message.op !== 'begin') return;
        process.off('message', onMessage);
        try {
          resolve(takeOver(message));
        } catch (error) {
          reject(error);
        }
      };
      process.on('message', onMessage);
      if (!process.connected) reject(new Error('the agent has no holder: it is started by bpfns itself'));
    });
  }

  /** Resolves with the listener's token once the holder has a copy: from then on it survives us. */
  hold(fd: number, namespace: number): Promise<number> {
    return new Promise((resolve) => {
      const request = this.#nextRequest++;
      this.#waiting.set(request, resolve);
      if (!this.#tell({ op: 'hold', request, fd, namespace })) resolve(0);
    });
  }

  /** Nobody uses that listener any more. */
  drop(token: number): void {
    this.#tell({ op: 'drop', token });
  }

  #tell(message: ToHolder): boolean {
    if (!process.connected || !process.send) return false;
    process.send(message);
    return true;
  }
}

function takeOver({ journal, listeners }: Extract<FromHolder, { op: 'begin' }>): Beginning {
  const holder = openProcess(process.ppid);
  try {
    const own = listeners.flatMap((listener) => {
      const fd = getFd(holder, listener.fd);
      return fd < 0 ? [] : [{ ...listener, fd }];
    });
    const journalFd = getFd(holder, journal);
    try {
      return { journal: new Journal(journalFd), listeners: own };
    } finally {
      close(journalFd);
    }
  } finally {
    close(holder);
  }
}
