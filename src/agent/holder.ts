/**
 * The holder: a process that does nothing but keep what must not die with the agent - a
 * copy of every listener and the journal - and starts another agent when one crashes.
 * As long as it lives, no trapped call fails for want of an agent; it only waits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, rmdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { paths, runDir } from '../recorder/paths.js';
import { check } from '../sys/errno.js';
import { close, flock } from '../sys/libc.js';
import { getFd, openProcess } from '../sys/task.js';
import type { FromHolder, HeldListener, ToHolder } from './holder-protocol.js';
import { createJournalFile } from './journal.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
/** Between an agent's crash and the next start, in ms: none at first, this if crashes follow each other. */
const PAUSE = 1000;
const SOON = 2000;

/**
 * Takes the lock and runs agents until one ends by itself.
 * @param ready an fd for one line, see {@link agentMain}; closed here
 * @param agentArguments for every agent it starts
 */
export function holderMain(ready: number | undefined, agentArguments: readonly string[]): void {
  const lock = takeLock();
  if (lock === undefined) {
    // Another is there, starting or ending: the caller finds out by trying again.
    if (ready !== undefined) writeSync(ready, 'ready\n');
    process.exit(0);
  }
  new Holder(lock, agentArguments).start(ready);
}

/** undefined if somebody else has it. The lock ends with the process. */
function takeLock(): number | undefined {
  for (;;) {
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    let fd: number;
    try {
      fd = openSync(paths.lock, 'w', 0o600);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue; // it just left
      throw error;
    }
    const isLocked = flock(fd, LOCK_EX | LOCK_NB) === 0;
    // The earlier one removes the file as it leaves: a lock on a removed file is no lock.
    const isThere = fstatSync(fd).ino === statSync(paths.lock, { throwIfNoEntry: false })?.ino;
    if (isLocked && isThere) return fd;
    closeSync(fd);
    if (isThere) return undefined;
  }
}

class Holder {
  readonly #lock: number;
  readonly #agentArguments: readonly string[];
  readonly #journal = check(createJournalFile(), 'memfd_create', 'cannot make the journal');
  readonly #listeners = new Map<number, HeldListener>();
  #nextToken = 1;
  #agent: ChildProcess | undefined;

  constructor(lock: number, agentArguments: readonly string[]) {
    this.#lock = lock;
    this.#agentArguments = agentArguments;
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(signal, () => this.#agent?.kill(signal));
    }
  }

  start(ready: number | undefined): void {
    const started = Date.now();
    const main = process.argv[1] ?? '';
    const readyArguments = ready === undefined ? [] : ['--ready-fd', '3'];
    const agent = spawn(
      process.execPath,
      ['--no-warnings', main, 'agent', ...this.#agentArguments, ...readyArguments],
      {
        stdio: ['ignore', 'inherit', 'inherit', ready ?? 'ignore', 'ipc'],
      },
    );
    this.#agent = agent;
    if (ready !== undefined) closeSync(ready);
    agent.on('message', (message: ToHolder) => this.#onMessage(agent, message));
    agent.once('exit', (code) => this.#onExit(code, Date.now() - started, ready !== undefined));
    this.#tell(agent, { op: 'begin', journal: this.#journal, listeners: [...this.#listeners.values()] });
  }

  #tell(agent: ChildProcess, message: FromHolder): void {
    agent.send(message, () => undefined); // an agent that just died needs no answer
  }

  #onMessage(agent: ChildProcess, message: ToHolder): void {
    if (message.op === 'drop') {
      const listener = this.#listeners.get(message.token);
      if (listener) close(listener.fd);
      this.#listeners.delete(message.token);
      return;
    }
    const token = this.#nextToken++;
    const pidfd = openProcess(agent.pid ?? 0);
    const fd = pidfd < 0 ? pidfd : getFd(pidfd, message.fd);
    if (pidfd >= 0) close(pidfd);
    if (fd >= 0) this.#listeners.set(token, { token, fd, namespace: message.namespace });
    this.#tell(agent, { op: 'held', request: message.request, token });
  }

  #onExit(code: number | null, lifetime: number, wasFirst: boolean): void {
    if (code === 0) this.#leave(0);
    // One that never came up, with nobody depending on it: its reason has been told.
    if (wasFirst && code !== null && this.#listeners.size === 0) this.#leave(code);
    setTimeout(() => this.start(undefined), lifetime < SOON ? PAUSE : 0);
  }

  #leave(code: number): never {
    rmSync(paths.lock, { force: true });
    try {
      rmdirSync(runDir);
    } catch {
      // State for the next agent, or somebody else's: not ours to remove.
    }
    closeSync(this.#lock);
    process.exit(code);
  }
}
