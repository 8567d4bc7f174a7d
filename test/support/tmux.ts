/** A terminal of 80 columns and 24 lines for a program, in tmux: what it shows, and keys for it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

let opened = 0;

export class Tmux {
  readonly #server = `bpfns-test-${process.pid}-${++opened}`;

  /** Runs a shell command in it. */
  constructor(command: string) {
    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '24', command);
  }

  /** Its lines, without trailing blanks. */
  screen(): string {
    return this.#tmux('capture-pane', '-p');
  }

  /** Keys by tmux's names: 'q', 'Enter', 'C-c'. */
  type(...keys: readonly string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  /** Whether the cursor is shown. */
  hasCursor(): boolean {
    return this.#tmux('display-message', '-p', '#{cursor_flag}').trim() === '1';
  }

  /** Sends a signal to the program that its shell runs. */
  signal(name: string): void {
    const shell = this.#tmux('display-message', '-p', '#{pane_pid}').trim();
    assert.equal(spawnSync('pkill', [`-${name}`, '-P', shell]).status, 0);
  }

  /** Ends what runs in it. */
  close(): void {
    spawnSync('tmux', ['-L', this.#server, 'kill-server']);
  }

  #tmux(...args: readonly string[]): string {
    const { stdout, stderr, status } = spawnSync('tmux', ['-L', this.#server, ...args], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout;
  }
}
