/** What the tests want of every container engine. */
import type { Outcome } from '../../support/host.js';
import { limit } from '../../support/slowness.js';
import { sleepSeconds } from './root-file-system.js';

export interface Engine {
  readonly name: string;
  /** Before the first container, and after the last. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Starts a container that runs a shell script and then sleeps; CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and nothing else. */
  start(options: StartOptions): Promise<Container>;
}

export interface StartOptions {
  /** Told from others of the test by this. */
  readonly label: string;
  readonly script: string;
  /** A seccomp profile's file on the host; without it the engine's own. */
  readonly profile?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Container {
  /** As the OCI runtime knows it. */
  readonly id: string;
  /** A directory of bpffs that the container has as /pins. */
  readonly pins: string;
  exec(command: readonly string[]): Promise<Outcome>;
  remove(): Promise<void>;
}

/** What PID 1 of a container does; {@link scriptOutput} waits for it. */
export function initCommand(script: string): string[] {
  return [
    '/bin/sh',
    '-c',
    `( ${script} ) >/tmp/out 2>&1; echo "status $?" >/tmp/done; exec /bin/sleep ${sleepSeconds}`,
  ];
}

/** What the script printed, and its exit status. @throws Error if it does not end within 10 s */
export async function scriptOutput(container: Container): Promise<{ text: string; status: number }> {
  let done = '';
  for (const end = Date.now() + limit(10_000); !done.startsWith('status'); ) {
    if (Date.now() > end) throw new Error(`the script in ${container.id} has not ended within 10 s`);
    done = (await container.exec(['/bin/cat', '/tmp/done'])).stdout;
  }
  const { stdout } = await container.exec(['/bin/cat', '/tmp/out']);
  return { text: stdout, status: Number(done.slice('status '.length)) };
}
