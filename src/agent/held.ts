/** The agent's side of its holder. */

import { type ChildProcess, spawn } from 'node:child_process';
import type { HandoverReply } from '../control/protocol.js';
import { takeOver } from './estate.js';
import type { Estate, FromHolder, HeldListener, ToHolder } from './holder-protocol.js';
import { Journal } from './journal.js';

/** What the holder gave an agent to begin with. */
export interface Beginning {
  readonly journal: Journal;
  /** Copies of our own of the listeners that earlier agents served. */
  readonly listeners: readonly HeldListener[];
}

/** A new holder that ends as often as this, in a row, is not tried again. */
const MAX_HOLDERS = 5;

export class HolderLink {
  /** What a holder has, or is about to have, by token. */
  readonly #held = new Map<number, HeldListener>();
  readonly #waiting = new Map<number, () => void>();
  readonly #arguments: readonly string[];
  readonly #onLost: (message: string) => void;
  /** The holder: our parent, or once that has died a child of ours. */
  #channel: NodeJS.Process | ChildProcess = process;
  #journal: Journal | undefined;
  #nextToken = 1;
  #lost = 0;

  /**
   * @param holderArguments for a holder that takes the place of one that died
   * @param onLost told when the holder died
   */
  constructor(holderArguments: readonly string[], onLost: (message: string) => void) {
    this.#arguments = holderArguments;
    this.#onLost = onLost;
    process.on('message', (message: FromHolder) => this.#onMessage(message));
    process.once('disconnect', () => this.#replace());
  }

  /** Resolves once the holder has said what there is. */
  begin(): Promise<Beginning> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromHolder): void => {
        if (message.op !== 'begin') return;
        process.off('message', onMessage);
        try {
          resolve(this.#begin(message.estate));
        } catch (error) {
          reject(error);
        }
      };
      process.on('message', onMessage);
      if (!process.connected) reject(new Error('the agent has no holder: it is started by bpfns itself'));
    });
  }

  /** Resolves with the listener's token once the holder has a copy: from then on it survives us. */
  async hold(fd: number, namespace: number, container: string): Promise<number> {
    const token = this.#nextToken++;
    const listener = { token, fd, namespace, container };
    this.#held.set(token, listener);
    await new Promise<void>((resolve) => {
      this.#waiting.set(token, resolve);
      this.#tell({ op: 'hold', listener });
    });
    return token;
  }

  /** Nobody uses that listener any more. */
  drop(token: number): void {
    this.#held.delete(token);
    this.#tell({ op: 'drop', token });
  }

  /** What a new holder would go on with. The fds stay ours. */
  estate(): HandoverReply {
    const holder = this.#channel === process ? process.ppid : (this.#channel.pid ?? 0);
    return { pid: process.pid, holder, journal: this.#journal?.fd ?? -1, listeners: [...this.#held.values()] };
  }

  /** We are up. */
  serving(): void {
    this.#tell({ op: 'serving' });
  }

  /** Resolves once the holder knows that we end, and that it is to end too. */
  leaving(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#tell({ op: 'leaving' }, resolve)) resolve();
    });
  }

  #begin(estate: Estate): Beginning {
    const { journal, listeners } = takeOver(estate);
    for (const listener of listeners) this.#held.set(listener.token, listener);
    this.#nextToken = Math.max(0, ...this.#held.keys()) + 1;
    this.#journal = new Journal(journal);
    return { journal: this.#journal, listeners };
  }

  #onMessage(message: FromHolder): void {
    if (message.op !== 'held') return;
    this.#waiting.get(message.token)?.();
    this.#waiting.delete(message.token);
  }

  /** We go on serving meanwhile, with our own copies; only a crash in this moment would lose them. */
  #replace(): void {
    // Without a journal we have not begun: there is nothing to hold, and a next start finds all that is.
    if (!this.#journal || this.#lost++ >= MAX_HOLDERS) {
      this.#onLost('the holder died: a crash of this agent would now make trapped calls fail');
      for (const done of this.#waiting.values()) done();
      this.#waiting.clear();
      return;
    }
    this.#onLost('the holder died: another takes its place');
    const main = process.argv[1] ?? '';
    const holder = spawn(process.execPath, ['--no-warnings', main, 'hold', '--adopt', ...this.#arguments], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    holder.on('error', () => undefined); // 'disconnect' follows
    holder.on('message', (message: FromHolder) => this.#onMessage(message));
    holder.once('disconnect', () => this.#replace());
    this.#channel = holder;
    const listeners = [...this.#held.values()];
    this.#tell({ op: 'adopt', estate: { pid: process.pid, journal: this.#journal.fd, listeners } });
  }

  /** False if the holder has just died: then the next one is told all that counts. */
  #tell(message: ToHolder, then?: () => void): boolean {
    const channel = this.#channel;
    if (!channel.connected || !channel.send) return false;
    channel.send(message, undefined, undefined, () => then?.());
    return true;
  }
}
