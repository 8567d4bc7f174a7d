/** A program that runs while the test observes it from outside. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { bpfnsPath, limited, until } from './host.js';

export class Guest {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exited: Promise<unknown>;
  #output = '';
  /** Whether the program and everything that it started have ended, or closed their output. */
  #isSilent = false;

  /** Starts a program with a time limit of a minute. Its stderr is that of the test. */
  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn('timeout', limited(60, command), {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#exited = once(this.#child, 'exit');
    this.#child.once('close', () => {
      this.#isSilent = true;
    });
    this.#child.stdin.on('error', () => undefined); // it has ended already
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** Starts `bpfns ARGS`. */
  static bpfns(args: readonly string[], env: NodeJS.ProcessEnv = {}): Guest {
    return new Guest([bpfnsPath, ...args], env);
  }

  /** The lines that it has printed so far. */
  get lines(): string[] {
    return this.#output.split('\n').slice(0, -1);
  }

  /** Waits for a line with this text. @throws Error if it does not come within 20 s, or the guest ends */
  async printed(text: string): Promise<void> {
    await this.#until(() => this.#output.includes(`${text}\n`), `the guest has not printed '${text}'`);
  }

  /** Writes a line to its input and waits until it prints the line 'done'. */
  async tell(line: string): Promise<void> {
    const earlier = this.lines.length;
    this.#child.stdin.write(`${line}\n`);
    await this.#until(() => this.lines.slice(earlier).includes('done'), `the guest has not done '${line}'`);
  }

  /** Like {@link until}, but fails as soon as the guest has ended, since it then prints nothing more. */
  async #until(condition: () => boolean, otherwise: string): Promise<void> {
    await until(() => condition() || this.#isSilent, otherwise, 20);
    if (!condition()) throw new Error(`${otherwise}, and has ended: ${this.#output}`);
  }

  /** Closes its input and waits for it to exit. @returns the exit status */
  async end(): Promise<number | null> {
    this.#child.stdin.end();
    await this.#exited;
    return this.#child.exitCode;
  }
}
