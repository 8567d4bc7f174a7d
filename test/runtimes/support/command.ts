/** Runs an engine's command without blocking this process, which may have to serve a socket. */
import { spawn } from 'node:child_process';
import { limited, type Outcome } from '../../support/host.js';

/** @param options.detached the command leaves a process running, so its output is not read */
export function command(
  words: readonly string[],
  options: { detached?: boolean; timeoutSeconds?: number; cwd?: string } = {},
): Promise<Outcome> {
  const child = spawn('timeout', limited(options.timeoutSeconds ?? 120, words), {
    stdio: ['ignore', options.detached ? 'ignore' : 'pipe', options.detached ? 'ignore' : 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status: status ?? 137, stdout, stderr }));
  });
}

/** Like {@link command}, for a command that must succeed. @throws Error with its output */
export async function mustRun(words: readonly string[], options: Parameters<typeof command>[1] = {}): Promise<string> {
  const { status, stdout, stderr } = await command(words, options);
  if (status !== 0) throw new Error(`${words.join(' ')}: exit status ${status}\n${stdout}${stderr}`);
  return stdout;
}
