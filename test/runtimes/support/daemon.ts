/** Runs `bpfns daemon` during a test. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { bpfns, bpfnsPath, runDir, until } from '../../support/host.js';
import { namespaceNames } from './bpftool.js';
import { workDir } from './machine.js';

/** The socket that profiles name. */
export const listenerPath = `${runDir}/seccomp.sock`;

export class Daemon {
  readonly #process: ChildProcess;
  #said = '';

  constructor(args: readonly string[] = []) {
    this.#process = spawn(bpfnsPath, ['daemon', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** Its standard error so far. */
  get log(): string {
    return this.#said;
  }

  async ready(): Promise<void> {
    await until(() => / ready$/m.test(this.#said), 'the daemon is not ready').catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : ''}: ${this.#said}`);
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** @returns its exit status */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const gone = new Promise<number | null>((resolve) => this.#process.on('exit', resolve));
    this.#process.kill(signal);
    return gone;
  }

  /** Stops it once no namespace is left: a daemon that is stopped earlier leaves its state for the next. */
  async stop(): Promise<void> {
    await until(() => namespaceNames().length === 0, 'a namespace is left');
    if (this.isRunning) await this.end('SIGTERM');
  }
}

/** Writes a profile for the daemon. @returns its path */
export function writeProfile(name: string, args: readonly string[] = []): string {
  const path = `${workDir}/${name}.json`;
  const { status, stderr } = bpfns(['profile', '--listener', listenerPath, '--output', path, ...args]);
  assert.equal(status, 0, stderr);
  return path;
}
