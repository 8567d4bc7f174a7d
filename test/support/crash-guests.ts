/** Guests that check every answer they get, see test/guests/crash.c. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { tracepointId, withTracefs } from '../../src/sys/tracepoint.js';
import { asContainerUser, bpfnsPath, guestPath, pinDirectory, run, runDir } from './host.js';
import { limit, times } from './slowness.js';
import { nobodyWithBpfAlone } from './tracing.js';

/** No call may take this long, in ms. An agent starts in a fraction of it, even on a busy machine. */
export const HANG = limit(120_000);

export interface CrashGuest {
  readonly name: string;
  readonly process: ChildProcess;
  readonly output: () => string;
}

/** More ids than a guest that creates uses up. */
const MANY_IDS = Math.max(times(100_000), 10_000);
let hasRaised = false;

/**
 * So that ids in namespaces to come are counted one by one for long enough: see raise_ids() in the guest. To be
 * called before a test makes objects that it keeps: a namespace leaves out the numbers that are their host ids.
 */
export function raiseIds(): void {
  if (hasRaised) return;
  const { status, stdout, stderr } = run([guestPath('crash'), 'raise-ids', String(MANY_IDS)]);
  assert.equal(status, 0, stdout + stderr);
  hasRaised = true;
}

/** Starts a guest in a namespace of that name; {@link allRight} ends it. Roles: list, create, load, nest, stats, trace. */
export function startGuest(name: string, role: string): CrashGuest {
  const traces = role === 'trace';
  if (role === 'create' || role === 'load') raiseIds();
  const command = [guestPath('crash'), role, `${pinDirectory()}/${name}`];
  const guest = spawn(
    'timeout',
    [
      '-k',
      String(limit(60)),
      String(limit(1200)),
      bpfnsPath,
      'run',
      '--name',
      name,
      ...(traces ? ['--tracing=own'] : []),
      '--',
      ...(traces ? nobodyWithBpfAlone : asContainerUser),
      ...command,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TRACEPOINT: traces ? tracepoint() : '' },
    },
  );
  let text = '';
  for (const stream of [guest.stdout, guest.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return { name, process: guest, output: () => text };
}

const tracepoint = (): string => String(withTracefs((root) => tracepointId(root, 'syscalls', 'sys_enter_getppid')));

function ended({ process }: CrashGuest): Promise<number | null> {
  if (process.exitCode !== null) return Promise.resolve(process.exitCode);
  return new Promise((resolve) => process.once('close', resolve));
}

/** Asserts that no guest has ended. A guest ends at its first wrong answer. */
export function allRunning(guests: readonly CrashGuest[]): void {
  const ended = guests.filter(({ process }) => process.exitCode !== null);
  assert.deepEqual(
    ended.map(({ name, output }) => `${name}: ${output()}`),
    [],
  );
}

/** Ends the guests, and asserts that every answer was right. Times are in ms. */
export async function allRight(
  guests: readonly CrashGuest[],
): Promise<{ readonly calls: number; readonly longest: number; readonly fdsLost: number }> {
  for (const guest of guests) guest.process.kill('SIGTERM');
  const results = await Promise.all(
    guests.map(async (guest) => ({ name: guest.name, status: await ended(guest), output: guest.output() })),
  );
  assert.deepEqual(
    results.filter(({ status }) => status !== 0),
    [],
  );
  const report = /^calls (\d+) longest-ms (\d+) fds-lost (\d+)$/m;
  const numbers = results.map(({ output }) => (report.exec(output) ?? []).slice(1).map(Number));
  const column = (index: number): number[] => numbers.map((each) => each[index] ?? Number.NaN);
  const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b);
  return { calls: sum(column(0)), longest: Math.max(...column(1)), fdsLost: sum(column(2)) };
}

/** Resolves once an agent accepts connections: it then serves its guests too. */
export async function agentServes(): Promise<void> {
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(`${runDir}/agent.sock`);
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
