/** The agent's side of its supervisor. */

import { type ChildProcess, spawn } from 'node:child_process';
import { ownProgram } from '../control/own-program.js';
import type { HandoverReply } from '../control/protocol.js';
import { takeOver } from './estate.js';
import { Journal } from './journal.js';
import type { Estate, FromSupervisor, SavedListener, ToSupervisor } from './protocol.js';

/** What the supervisor gives an agent at the start. */
export interface Beginning {
  readonly journal: Journal;
  /** Our own copies of the listeners of earlier agents. */
  readonly listeners: readonly SavedListener[];
}

/** A new supervisor that exits this many times in a row is not started again. */
const MAX_SUPERVISORS = 5;

export class SupervisorLink {
  /** What a supervisor has, or will have soon, by token. */
  readonly #saved = new Map<number, SavedListener>();
  readonly #waiting = new Map<number, () => void>();
  readonly #arguments: readonly string[];
  readonly #onLost: (message: string) => void;
  /** The supervisor: our parent or, after that has died, our child. */
  #channel: NodeJS.Process | ChildProcess = process;
  #journal: Journal | undefined;
  #nextToken = 1;
  #lost = 0;

  /**
   * @param supervisorArguments arguments for a supervisor that replaces one that died
   * @param onLost called when the supervisor dies
   */
  constructor(supervisorArguments: readonly string[], onLost: (message: string) => void) {
    this.#arguments = supervisorArguments;
    this.#onLost = onLost;
    process.on('message', (message: FromSupervisor) => this.#onMessage(message));
    process.once('disconnect', () => this.#replace());
  }

  /** Resolves once the supervisor has sent what there is. */
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

  /**
   * Resolves with the listener's token once the supervisor has a copy. From then on the listener
   * outlives this process.
   */
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

  /** Called when nobody uses the listener any more. */
  drop(token: number): void {
    this.#saved.delete(token);
    this.#tell({ op: 'drop', token });
  }

  /** What a new supervisor needs to continue. The fds stay ours. */
  estate(): HandoverReply {
    const supervisor = this.#channel === process ? process.ppid : (this.#channel.pid ?? 0);
    return { pid: process.pid, supervisor, journal: this.#journal?.fd ?? -1, listeners: [...this.#saved.values()] };
  }

  /** Reports that the agent is up. */
  serving(): void {
    this.#tell({ op: 'serving' });
  }

  /** Resolves once the supervisor knows that the agent is about to exit, and that it has to exit too. */
  leaving(isReplaced = false): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#tell({ op: 'leaving', isReplaced }, resolve)) resolve();
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

  /** The agent keeps serving with its own copies. Only a crash at this moment would lose them. */
  #replace(): void {
    // Without a journal the agent has not started: there is nothing to keep, and the next start
    // finds everything.
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

  /** @returns false if the supervisor has just died: the next one gets everything that matters */
  #tell(message: ToSupervisor, then?: () => void): boolean {
    const channel = this.#channel;
    if (!channel.connected || !channel.send) return false;
    channel.send(message, undefined, undefined, () => then?.());
    return true;
  }
}
