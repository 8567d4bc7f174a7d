/** Runs programs of the host for the tools. */
import { execFileSync } from 'node:child_process';

/** Runs a program and returns what it prints. @param options.timeout in ms @throws Error if it fails */
export function output(
  command: string,
  args: readonly string[],
  options: { cwd?: string; input?: string; env?: NodeJS.ProcessEnv; timeout?: number } = {},
): string {
  return execFileSync(command, args, {
    ...options,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** Runs a line of bash. */
export function bash(script: string, args: readonly string[], options: { input?: string } = {}): void {
  execFileSync('bash', ['-euo', 'pipefail', '-c', script, 'bash', ...args], {
    ...options,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'inherit', 'inherit'],
  });
}
