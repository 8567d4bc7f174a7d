/** The interface of the tests to a container engine. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Outcome } from '../../support/host.js';
import { limit } from '../../support/slowness.js';
import { sleepSeconds } from './root-file-system.js';

export interface Engine {
  readonly name: string;
  /** Called before the first container, and after the last. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Starts a container that runs a shell script and then sleeps. It has these capabilities and nothing else. */
  start(options: StartOptions): Promise<Container>;
}

export interface StartOptions {
  /** Distinguishes it from other containers of the test. */
  readonly label: string;
  readonly script: string;
  /** The file of a seccomp profile on the host; by default the engine's own profile. */
  readonly profile?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** As "bpf"; by default {@link usualCapabilities}. */
  readonly capabilities?: readonly string[];
  /** Directories of the host, by their paths in the container, which can read them. */
  readonly mounts?: Readonly<Record<string, string>>;
}

export const usualCapabilities: readonly string[] = ['bpf', 'perfmon', 'net_admin'];

export interface Container {
  /** The id in the OCI runtime. */
  readonly id: string;
  /** A directory of bpffs that the container has as /pins. */
  readonly pins: string;
  exec(command: readonly string[]): Promise<Outcome>;
  remove(): Promise<void>;
}

/** The command of a container's PID 1. {@link scriptOutput} waits for the script. */
export function initCommand(script: string): string[] {
  return [
    '/bin/sh',
    '-c',
    `( ${script} ) >/tmp/out 2>&1; echo "status $?" >/tmp/done; exec /bin/sleep ${sleepSeconds}`,
  ];
}

/** The output and exit status of the script. @throws Error if it does not end in time */
export async function scriptOutput(container: Container, seconds = 60): Promise<{ text: string; status: number }> {
  let done = '';
  for (const end = Date.now() + limit(seconds * 1000); !done.startsWith('status'); ) {
    if (Date.now() > end) throw new Error(`the script in ${container.id} has not ended within ${seconds} s`);
    done = (await container.exec(['/bin/cat', '/tmp/done'])).stdout;
    if (!done.startsWith('status')) await pause(50); // what the script needs the CPU for
  }
  const { stdout } = await container.exec(['/bin/cat', '/tmp/out']);
  return { text: stdout, status: Number(done.slice('status '.length)) };
}
