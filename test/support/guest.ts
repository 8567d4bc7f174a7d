/** A program that runs while the test observes it from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { bpfnsPath, limited, until } from './programs.js';

export class Guest {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = '';
  /** Whether the program and everything that it started have ended, or closed their output. */
  #isSilent = false;

  /**
   * Starts a program with a time limit of five minutes: some serve all tests of a file.
   * @param errors whether its stderr is that of the test, or counts as output
   */
  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}, errors: 'inherit' | 'collected' = 'inherit') {
    this.#child = spawn('timeout', limited(300, command), {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', errors === 'collected' ? 'pipe' : 'inherit'],
    });
    this.#exited = once(this.#child, 'exit');
    this.#child.once('close', () => {
      this.#isSilent = true;
    });
    this.#child.stdin?.on('error', () => undefined); // it has ended already
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Starts `bpfns ARGS`. */
  static bpfns(args: readonly string[], env: NodeJS.ProcessEnv = {}): Guest {
    return new Guest([bpfnsPath, ...args], env);
  }

  /** The process that limits its time, its parent. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has printed so far. */
  output(): string {
    return this.#output;
  }

  /** The lines that it has printed so far. */
  get lines(): string[] {
    return this.#output.split('\n').slice(0, -1);
  }

  /** Waits for this line. @throws Error if it does not come within two minutes, or the guest ends */
  async printed(line: string): Promise<void> {
    await this.#until(() => this.lines.includes(line), `the guest has not printed '${line}'`);
  }

  /** Writes a line to its input. Resolves to the lines that it prints before the line `end`. */
  async ask(line: string, end = 'done'): Promise<string[]> {
    const earlier = this.lines.length;
    this.#child.stdin?.write(`${line}\n`);
    const answer = (): string[] => this.lines.slice(earlier);
    await this.#until(() => answer().includes(end), `the guest has not printed '${end}' after '${line}'`);
    return answer().slice(0, answer().indexOf(end));
  }

  /** Like {@link until}, but fails as soon as the guest has ended, since it then prints nothing more. */
  async #until(condition: () => boolean, otherwise: string): Promise<void> {
    await until(() => condition() || this.#isSilent, otherwise, 120);
    if (!condition()) throw new Error(`${otherwise}, and has ended: ${this.#output}`);
  }

  /** Closes its input, which makes a guest exit, and waits for that. @returns the exit status */
  async end(): Promise<number | null> {
    this.#child.stdin?.end();
    await this.#exited;
    return this.#child.exitCode;
  }
}
