/** Runs `bpfns daemon`, of this version or another one, during a test. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { bpfnsPath, namespaceNames, until } from './host.js';

interface Surroundings {
  readonly env?: NodeJS.ProcessEnv;
  /** The command line up to `daemon`. */
  readonly program?: readonly string[];
}

export class Daemon {
  readonly #process: ChildProcess;
  #said = '';

  constructor(args: readonly string[] = [], { env = {}, program = [bpfnsPath] }: Surroundings = {}) {
    const [file = '', ...before] = program;
    this.#process = spawn(file, [...before, 'daemon', ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** One that serves. It has read its configuration by then: there is no file left to remove. */
  static async configured(configuration: string, ...args: readonly string[]): Promise<Daemon> {
    const directory = mkdtempSync(`${tmpdir()}/bpfns-daemon-`);
    writeFileSync(`${directory}/bpfns.toml`, configuration);
    const daemon = new Daemon([...args, '--config', `${directory}/bpfns.toml`]);
    await daemon.ready().finally(() => rmSync(directory, { recursive: true }));
    return daemon;
  }

  /** Its standard error so far. */
  get log(): string {
    return this.#said;
  }

  /** Waits until it serves, in whichever format it says so. Fails if it ends instead. */
  async ready(): Promise<void> {
    const isReady = (): boolean => {
      if (/ info ready$|"ready"/m.test(this.#said)) return true;
      assert.ok(this.isRunning, 'the daemon has ended');
      return false;
    };
    await until(isReady, 'the daemon is not ready', 120).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : ''}: ${this.#said}`);
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Waits until it has ended by itself. @returns its exit status */
  async ended(): Promise<number | null> {
    await until(() => !this.isRunning, 'the daemon has not ended');
    return this.#process.exitCode;
  }

  /** @returns its exit status */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#process.kill(signal);
    return this.ended();
  }

  /** Stops it once no namespace is left: a daemon that is stopped earlier leaves its state for the next. */
  async stop(): Promise<void> {
    await until(() => namespaceNames().length === 1, 'a namespace is left');
    await this.end();
  }
}
