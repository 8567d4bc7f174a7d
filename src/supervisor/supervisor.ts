/**
 * The supervisor keeps what must outlive the agent, a copy of every listener and the journal, and
 * starts another agent when one crashes. As long as it lives, no trapped call fails because there
 * is no agent: it only waits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { AgentError, serviceIsDown } from '../control/client.js';
import { ownProgram } from '../control/own-program.js';
import { check } from '../sys/errno.js';
import { raiseFdLimit } from '../sys/fd-reserve.js';
import { close, giveFreedMemoryBack } from '../sys/libc.js';
import { isService, useInPlaceOfManager } from '../sys/notify.js';
import { processIdentity } from '../sys/pids.js';
import { giveStartMemoryBack } from '../sys/start-memory.js';
import { getFd, openProcess } from '../sys/task.js';
import { takeOver } from './estate.js';
import { storeJournal, storeListener, takeStored, unstoreListener } from './fd-store.js';
import { createJournalFile } from './journal-file.js';
import { takeKept } from './keeper-client.js';
import { releaseLock, takeLock } from './lock.js';
import type { Estate, FromSupervisor, SavedListener, ToSupervisor, WhenReplaced } from './protocol.js';

/** How many starts may fail in a row before there are pauses. Guests wait meanwhile. */
const QUICK_STARTS = 5;
/**
 * The pause before the next start after that, in ms. It doubles with each failure, up to about the
 * time of a start on a busy machine.
 */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 1000;
/** How often it looks whether the agent is dead but cannot end, in ms. */
const LOOK = 3000;

/** {@link supervise} for a command that waits for an agent: which one it is does not matter. @throws AgentError */
export async function supervisorMain(ready: number | undefined, agentArguments: readonly string[]): Promise<void> {
  if (await supervise(ready, agentArguments)) return;
  // Another supervisor is starting or exiting. The caller finds out when it tries again.
  if (ready !== undefined) writeSync(ready, 'ready\n');
  process.exit(0);
}

/**
 * Takes the lock and runs agents until one exits by itself.
 * @param ready an fd for one line, see {@link agentMain}; closed here
 * @param agentArguments for every agent that it starts
 * @param whenReplaced by another daemon: 'stay' where a manager would start one that exits again
 * @returns false if another supervisor has the lock
 * @throws AgentError if only the service manager, which has the listeners, may start an agent
 */
export async function supervise(
  ready: number | undefined,
  agentArguments: readonly string[],
  whenReplaced: WhenReplaced = 'end',
): Promise<boolean> {
  if (!isService() && existsSync(paths.service)) throw new AgentError('EBUSY', serviceIsDown);
  const lock = takeLock();
  if (lock === undefined) return false;
  raiseFdLimit(); // the agents' too
  const stored = isService() ? takeStored() : ((await takeKept()) ?? takeStored());
  const journal =
    stored.journal >= 0 ? stored.journal : check(createJournalFile(), 'memfd_create', 'cannot make the journal');
  new Supervisor(lock, agentArguments, { ...stored, journal }, whenReplaced).start(ready);
  return true;
}

/** Replaces a supervisor that died. Its agent started this process, lives on, and reports what there is. */
export function adoptAgent(agentArguments: readonly string[]): void {
  const lock = takeLock();
  if (lock === undefined) process.exit(1);
  process.once('message', (message: ToSupervisor) => {
    if (message.op !== 'adopt') process.exit(1);
    const supervisor = new Supervisor(lock, agentArguments, takeOver(message.estate));
    supervisor.attach({ channel: process, pid: message.estate.pid }, message.estate.listeners);
  });
}

/** The agent's process: our child, or the process that started us to replace another supervisor. */
interface AgentProcess {
  readonly channel: NodeJS.Process | ChildProcess;
  readonly pid: number;
}

export class Supervisor {
  readonly #lock: number;
  readonly #agentArguments: readonly string[];
  readonly #journal: number;
  readonly #whenReplaced: WhenReplaced;
  readonly #listeners = new Map<number, SavedListener>();
  #agent: AgentProcess | undefined;
  #failedStarts = 0;
  #isEnding = false;
  #isReplaced = false;
  /** To end, by a signal. */
  #isTold = false;
  /** Whether an agent has served. */
  #hasServed = false;

  /** @param estate in fds of this process */
  constructor(lock: number, agentArguments: readonly string[], estate: Estate, whenReplaced: WhenReplaced = 'end') {
    giveFreedMemoryBack();
    giveStartMemoryBack();
    this.#lock = lock;
    this.#whenReplaced = whenReplaced;
    useInPlaceOfManager(paths.keeper);
    this.#agentArguments = agentArguments;
    this.#journal = estate.journal;
    if (isService()) writeFileSync(paths.service, '');
    storeJournal(estate.journal);
    for (const listener of estate.listeners) this.#keep(listener);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => this.#pass(signal));
  }

  start(ready: number | undefined): void {
    const readyArguments = ready === undefined ? [] : ['--ready-fd', '3'];
    const agent = spawn(...ownProgram('agent', ...this.#agentArguments, ...readyArguments), {
      stdio: ['ignore', 'inherit', 'inherit', ready ?? 'ignore', 'ipc'],
    });
    if (ready !== undefined) closeSync(ready);
    this.#failedStarts++;
    const started = { channel: agent, pid: agent.pid ?? 0 };
    this.#listen(started);
    // There is no 'exit' event if the process could not be started (EAGAIN, ENOMEM).
    agent.on('error', () => agent.pid === undefined && this.#onExit(started, null, false));
    agent.once('exit', (code) => this.#onExit(started, code, ready !== undefined));
    const estate = { pid: process.pid, journal: this.#journal, listeners: [...this.#listeners.values()] };
    this.#tell({ op: 'begin', estate });
  }

  /** Supervises an agent that runs already. */
  attach(agent: AgentProcess, listeners: readonly SavedListener[]): void {
    this.#hasServed = true;
    this.#listen(agent);
    agent.channel.once('disconnect', () => this.#onExit(agent, null, false));
    for (const { token } of listeners) this.#tell({ op: 'saved', token });
  }

  #listen(agent: AgentProcess): void {
    this.#agent = agent;
    agent.channel.on('message', (message: ToSupervisor) => this.#onMessage(agent, message));
    this.#watch(agent);
  }

  /**
   * A process whose thread waits for a file system of a guest (sys/foreign-fd.ts) does not end when it
   * is killed: there is no event. An agent that is seen dead twice is one of those.
   */
  #watch(agent: AgentProcess): void {
    let wasDead = false;
    const timer = setInterval(() => {
      const isDead = processIdentity(agent.pid) === '';
      if (this.#agent !== agent || (isDead && wasDead)) clearInterval(timer);
      if (isDead && wasDead) this.#onExit(agent, null, false);
      wasDead = isDead;
    }, LOOK);
  }

  /**
   * Passes a signal on to the agent. SIGTERM and SIGINT also end the supervisor once the agent has ended, however that
   * ended: while it starts, it may die of them.
   */
  #pass(signal: NodeJS.Signals): void {
    this.#isTold ||= signal !== 'SIGHUP';
    if (this.#isTold && !this.#agent) this.#leave(0);
    try {
      if (this.#agent) process.kill(this.#agent.pid, signal);
    } catch {
      // It has exited.
    }
  }

  #tell(message: FromSupervisor): void {
    // An agent that has just died needs no answer.
    this.#agent?.channel.send?.(message, undefined, undefined, () => undefined);
  }

  #onMessage(agent: AgentProcess, message: ToSupervisor): void {
    switch (message.op) {
      case 'save':
        this.#save(agent, message.listener);
        return;
      case 'drop': {
        const listener = this.#listeners.get(message.token);
        if (!listener) return;
        unstoreListener(listener);
        close(listener.fd);
        this.#listeners.delete(message.token);
        return;
      }
      case 'serving':
        this.#failedStarts = 0;
        this.#hasServed = true;
        return;
      case 'leaving':
        this.#isEnding = true;
        this.#isReplaced = message.isReplaced;
        return;
      case 'adopt':
        return; // only the first message can be one
    }
  }

  #save(agent: AgentProcess, listener: SavedListener): void {
    try {
      using pidfd = openProcess(agent.pid);
      const fd = getFd(pidfd, listener.fd).release();
      if (fd >= 0) this.#keep({ ...listener, fd });
    } catch (error) {
      // The agent has it; only a crash would lose it.
      console.error(`bpfns: cannot keep a listener: ${String(error)}`);
    }
    this.#tell({ op: 'saved', token: listener.token });
  }

  #keep(listener: SavedListener): void {
    this.#listeners.set(listener.token, listener);
    storeListener(listener);
  }

  #onExit(agent: AgentProcess, code: number | null, wasFirst: boolean): void {
    if (this.#agent !== agent) return;
    this.#agent = undefined;
    if (this.#isReplaced && this.#whenReplaced === 'stay' && !this.#isTold) {
      this.#stay();
      return;
    }
    if (code === 0 || this.#isEnding || this.#isTold) this.#leave(0);
    // The agent never came up, and nobody depends on it. It has reported its reason.
    if (wasFirst && code !== null && this.#listeners.size === 0) this.#leave(code);
    const slow = this.#failedStarts - QUICK_STARTS;
    const pause = slow <= 0 ? 0 : Math.min(FIRST_PAUSE * 2 ** (slow - 1), LONGEST_PAUSE);
    setTimeout(() => this.start(undefined), pause);
  }

  /** Has nothing any more and does nothing, until it is told to end. */
  #stay(): void {
    releaseLock(this.#lock);
    for (const fd of [this.#journal, ...[...this.#listeners.values()].map(({ fd: each }) => each)]) close(fd);
    this.#listeners.clear();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.removeAllListeners(signal);
      process.once(signal, () => process.exit(0));
    }
    setInterval(() => undefined, 2 ** 30);
  }

  #leave(code: number): never {
    // An agent that has served removes it itself, or leaves it for the next.
    if (!this.#hasServed && this.#listeners.size === 0) rmSync(paths.service, { force: true });
    releaseLock(this.#lock);
    process.exit(code);
  }
}
