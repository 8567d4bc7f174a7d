/** The agent's side of its supervisor. */

import { type ChildProcess, spawn } from 'node:child_process';
import { ownProgram } from '../control/own-program.js';
import type { HandoverReply } from '../control/protocol.js';
import { takeOver } from './estate.js';
import { Journal } from './journal.js';
import type { Estate, FromSupervisor, SavedListener, ToSupervisor } from './protocol.js';

/** What the supervisor gave an agent to begin with. */
export interface Beginning {
  readonly journal: Journal;
  /** Copies of our own of the listeners that earlier agents served. */
  readonly listeners: readonly SavedListener[];
}

/** A new supervisor that ends as often as this, in a row, is not tried again. */
const MAX_SUPERVISORS = 5;

export class SupervisorLink {
  /** What a supervisor has, or is about to have, by token. */
  readonly #saved = new Map<number, SavedListener>();
  readonly #waiting = new Map<number, () => void>();
  readonly #arguments: readonly string[];
  readonly #onLost: (message: string) => void;
  /** The supervisor: our parent, or once that has died a child of ours. */
  #channel: NodeJS.Process | ChildProcess = process;
  #journal: Journal | undefined;
  #nextToken = 1;
  #lost = 0;

  /**
   * @param supervisorArguments for a supervisor that takes the place of one that died
   * @param onLost told when the supervisor died
   */
  constructor(supervisorArguments: readonly string[], onLost: (message: string) => void) {
    this.#arguments = supervisorArguments;
    this.#onLost = onLost;
    process.on('message', (message: FromSupervisor) => this.#onMessage(message));
    process.once('disconnect', () => this.#replace());
  }

  /** Resolves once the supervisor has said what there is. */
  begin(): Promise<Beginning> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromSupervisor): void => {
        if (message.op !== 'begin') return;
        process.off('message', onMessage);
        try {
          resolve(this.#begin(message.estate));
        } catch (error) {
          reject(error);
        }
      };
      process.on('message', onMessage);
      if (!process.connected) reject(new Error('the agent has no supervisor: it is started by bpfns itself'));
    });
  }

  /** Resolves with the listener's token once the supervisor has a copy: from then on it survives us. */
  async save(fd: number, namespace: number, container: string): Promise<number> {
    const token = this.#nextToken++;
    const listener = { token, fd, namespace, container };
    this.#saved.set(token, listener);
    await new Promise<void>((resolve) => {
      this.#waiting.set(token, resolve);
      this.#tell({ op: 'save', listener });
    });
    return token;
  }

  /** Nobody uses that listener any more. */
  drop(token: number): void {
    this.#saved.delete(token);
    this.#tell({ op: 'drop', token });
  }

  /** What a new supervisor would go on with. The fds stay ours. */
  estate(): HandoverReply {
    const supervisor = this.#channel === process ? process.ppid : (this.#channel.pid ?? 0);
    return { pid: process.pid, supervisor, journal: this.#journal?.fd ?? -1, listeners: [...this.#saved.values()] };
  }

  /** We are up. */
  serving(): void {
    this.#tell({ op: 'serving' });
  }

  /** Resolves once the supervisor knows that we end, and that it is to end too. */
  leaving(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#tell({ op: 'leaving' }, resolve)) resolve();
    });
  }

  #begin(estate: Estate): Beginning {
    const { journal, listeners } = takeOver(estate);
    for (const listener of listeners) this.#saved.set(listener.token, listener);
    this.#nextToken = Math.max(0, ...this.#saved.keys()) + 1;
    this.#journal = new Journal(journal);
    return { journal: this.#journal, listeners };
  }

  #onMessage(message: FromSupervisor): void {
    if (message.op !== 'saved') return;
    this.#waiting.get(message.token)?.();
    this.#waiting.delete(message.token);
  }

  /** We go on serving meanwhile, with our own copies; only a crash in this moment would lose them. */
  #replace(): void {
    // Without a journal we have not begun: there is nothing to hold, and a next start finds all that is.
    if (!this.#journal || this.#lost++ >= MAX_SUPERVISORS) {
      this.#onLost('the supervisor died: a crash of this agent would now make trapped calls fail');
      for (const done of this.#waiting.values()) done();
      this.#waiting.clear();
      return;
    }
    this.#onLost('the supervisor died: another takes its place');
    const supervisor = spawn(...ownProgram('supervise', '--adopt', ...this.#arguments), {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    supervisor.on('error', () => undefined); // 'disconnect' follows
    supervisor.on('message', (message: FromSupervisor) => this.#onMessage(message));
    supervisor.once('disconnect', () => this.#replace());
    this.#channel = supervisor;
    const listeners = [...this.#saved.values()];
    this.#tell({ op: 'adopt', estate: { pid: process.pid, journal: this.#journal.fd, listeners } });
  }

  /** False if the supervisor has just died: then the next one is told all that counts. */
  #tell(message: ToSupervisor, then?: () => void): boolean {
    const channel = this.#channel;
    if (!channel.connected || !channel.send) return false;
    channel.send(message, undefined, undefined, () => then?.());
    return true;
  }
}
