/** Starts `bpfns daemon`, of this version or another one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { bpfnsPath } from './programs.js';

export interface Daemon {
  readonly process: ChildProcess;
  readonly log: () => string;
}

/** @param program the command line up to `daemon` */
export function startDaemon(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  program: readonly string[] = [bpfnsPath],
): Daemon {
  const [file = '', ...before] = program;
  const child = spawn(file, [...before, 'daemon', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return { process: child, log: () => text };
}
