/** Runs programs, always under a time limit: under a filter a lost answer would hang. */
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { limit } from './slowness.js';

/** The repository: compiled tests live in build/js/test/support. */
export const root = fileURLToPath(new URL('../../../..', import.meta.url));

export const bpfnsPath = `${root}bin/bpfns`;

export interface Outcome {
  /** The exit status, or 128 + the number of the signal, as in a shell (137: killed, also by the time limit). */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Arguments for timeout(1): the time limit, longer on a slow machine, and the command. */
export function limited(seconds: number, command: readonly string[]): string[] {
  return ['-k', '1', String(limit(seconds)), ...command];
}

/** Runs a program to its end. There is always a time limit: under a filter a lost answer would hang. */
export function run(
  command: readonly string[],
  options: { timeoutSeconds?: number; env?: NodeJS.ProcessEnv; input?: string } = {},
): Outcome {
  const { status, signal, stdout, stderr, error } = spawnSync(
    'timeout',
    limited(options.timeoutSeconds ?? 120, command),
    {
      encoding: 'utf8',
      env: { ...process.env, ...options.env },
      input: options.input ?? '',
      maxBuffer: 256 * 1024 * 1024,
    },
  );
  if (error) throw error;
  return { status: status ?? 128 + constants.signals[signal ?? 'SIGKILL'], stdout, stderr };
}

/** Runs `bpfns ARGS`. */
export function bpfns(args: readonly string[], options: Parameters<typeof run>[1] = {}): Outcome {
  return run([bpfnsPath, ...args], options);
}

/** Waits until `condition` is true. The time limit is longer on a slow machine. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  otherwise: string,
  seconds = 30,
): Promise<void> {
  const most = limit(seconds);
  for (const end = Date.now() + most * 1000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${otherwise} within ${most} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
