/** Runs an engine's command without blocking this process, which may have to serve a socket. */
import { spawn } from 'node:child_process';
import { limited, type Outcome } from '../../support/host.js';

/**
 * @param options.detached the command leaves a process running, so its output is not read
 * @param options.end ends its output, on both streams, before it waits for a line of input. It is taken off
 */
export function command(
  words: readonly string[],
  options: { detached?: boolean; timeoutSeconds?: number; cwd?: string; end?: string } = {},
): Promise<Outcome> {
  const { end = '' } = options;
  const output = options.detached ? 'ignore' : 'pipe';
  const child = spawn('timeout', limited(options.timeoutSeconds ?? 120, words), {
    stdio: [end === '' ? 'ignore' : 'pipe', output, output],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let stdout = '';
  let stderr = '';
  const acknowledge = (): void => {
    if (end !== '' && stdout.endsWith(end) && stderr.endsWith(end)) child.stdin?.end('\n');
  };
  child.stdin?.on('error', () => undefined); // it has ended already
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    acknowledge();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    acknowledge();
  });
  const withoutEnd = (text: string): string => (text.endsWith(end) ? text.slice(0, text.length - end.length) : text);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) =>
      resolve({ status: status ?? 137, stdout: withoutEnd(stdout), stderr: withoutEnd(stderr) }),
    );
  });
}

/** Like {@link command}, for a command that must succeed. @throws Error with its output */
export async function mustRun(words: readonly string[], options: Parameters<typeof command>[1] = {}): Promise<string> {
  const { status, stdout, stderr } = await command(words, options);
  if (status !== 0) throw new Error(`${words.join(' ')}: exit status ${status}\n${stdout}${stderr}`);
  return stdout;
}
