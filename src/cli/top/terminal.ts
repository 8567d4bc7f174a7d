/** The terminal for `top`: takes it over, draws line by line, and restores it in any case. */
import { writeSync } from 'node:fs';
import { emitKeypressEvents, type Key } from 'node:readline';
import { isatty, WriteStream } from 'node:tty';
import type { Size } from './frame.js';

// Uses the alternate screen, so that the old contents return, without a cursor and without
// wrapping.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Whether there is a terminal to read from and draw on. */
export function hasTerminal(): boolean {
  return isatty(0) && isatty(1);
}

export interface Terminal {
  readonly size: Size;
  /** Whether it can show reverse video. */
  readonly hasStyles: boolean;
  /** Shows these lines. Writes only lines that changed. */
  draw(lines: readonly string[]): void;
  /** Restores the terminal. */
  leave(): void;
}

/**
 * Takes the terminal over. It is restored when the process exits, also by a signal.
 * @param onKey called with each key; Ctrl-Z stops the process as usual
 * @param onChange called when everything has to be redrawn
 * @param onEnd called when the terminal is gone, or on a signal to quit
 */
export function enterTerminal(onKey: (key: Key) => void, onChange: () => void, onEnd: () => void): Terminal {
  // Only for its size: output goes straight to the descriptor, also when the process exits.
  const output = new WriteStream(1);
  let drawn: readonly string[] = [];
  let isOurs = false;
  const write = (text: string): void => {
    for (let rest = Buffer.from(text); rest.length > 0; ) {
      try {
        rest = rest.subarray(writeSync(1, rest));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return; // nobody can see it any more
      }
    }
  };
  const enter = (): void => {
    process.stdin.setRawMode(true);
    write(ENTER);
    isOurs = true;
    drawn = [];
  };
  const leave = (): void => {
    if (!isOurs) return;
    isOurs = false;
    write(LEAVE);
    try {
      process.stdin.setRawMode(false);
    } catch {
      // The terminal is gone.
    }
  };
  emitKeypressEvents(process.stdin);
  process.on('exit', leave);
  for (const signal of signals) process.on(signal, onEnd);
  process.stdin.on('keypress', (_text: string | undefined, key: Key) => {
    if (key.ctrl && key.name === 'z') {
      leave();
      process.once('SIGCONT', () => {
        enter();
        onChange();
      });
      process.kill(process.pid, 'SIGTSTP');
    } else {
      onKey(key);
    }
  });
  process.stdin.on('end', onEnd);
  process.stdin.on('error', onEnd);
  output.on('resize', () => {
    drawn = [];
    onChange();
  });
  enter();
  return {
    get size() {
      return { columns: output.columns || 80, rows: output.rows || 24 };
    },
    hasStyles: process.env.TERM !== 'dumb' && !process.env.NO_COLOR,
    draw(lines) {
      if (!isOurs) return;
      // Erased first: after a text up to the last column, the cursor is still on its last character.
      const changes = lines.flatMap((text, i) => (text === drawn[i] ? [] : [`\x1b[${i + 1};1H\x1b[K${text}`]));
      drawn = [...lines];
      write(changes.join(''));
    },
    leave() {
      leave();
      output.destroy();
    },
  };
}
