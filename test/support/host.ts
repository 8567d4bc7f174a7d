/** Runs bpfns and guests against the real kernel, and proves that nothing is left behind. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { kernelUsesBit34 } from '../../src/filter/own-command.js';
import { kinds } from '../../src/model/ids.js';
import { hostIds } from '../../src/sys/bpf.js';
import { isSlow, limit } from './slowness.js';

/** The repository: compiled tests live in build/js/test/support. */
export const root = fileURLToPath(new URL('../../../..', import.meta.url));

// Every test file has an agent of its own, so that none meets another's.
process.env.BPFNS_RUN_DIR ??= `/run/bpfns-test-${process.pid}`;
// On a slow machine it stays between tests, as each would wait for a new one.
process.env.BPFNS_LINGER_MS ??= isSlow ? '20000' : '300';
// How guests ask for a namespace: see clone_in_namespace() in test/guests/bpf.h.
process.env.NEWBPF_BY ??= kernelUsesBit34() ? 'unshare' : 'clone3';
// An agent that leaves a descriptor open says where it was taken.
process.env.BPFNS_TRACK_FDS ??= '1';
export const runDir = process.env.BPFNS_RUN_DIR;

export const bpfnsPath = `${root}bin/bpfns`;

/** A compiled guest of test/guests. */
export function guestPath(name: string): string {
  return `${root}build/guests/${name}`;
}

/**
 * Whether kernel tests can run, or why not. In CI a missing prerequisite is a failure.
 * Use as `test('...', { skip: skipReason }, ...)`.
 */
export const skipReason: string | false = (() => {
  const missing =
    process.geteuid?.() !== 0 ? 'kernel tests need root' : !existsSync('/sys/fs/bpf') ? 'no bpffs' : false;
  if (missing && process.env.CI) throw new Error(missing);
  return missing;
})();

export interface Outcome {
  /** The exit status, or 128 + the signal's number as a shell has it (137: killed, also by the time limit). */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Arguments for timeout(1): a command and how long it may take, longer on a slow machine. */
export function limited(seconds: number, command: readonly string[]): string[] {
  return ['-k', '1', String(limit(seconds)), ...command];
}

/** Runs a program to its end. A limit is always set: under a filter a lost answer would hang. */
export function run(
  command: readonly string[],
  options: { timeoutSeconds?: number; env?: NodeJS.ProcessEnv; input?: string } = {},
): Outcome {
  const { status, signal, stdout, stderr, error } = spawnSync(
    'timeout',
    limited(options.timeoutSeconds ?? 60, command),
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

/** A process that runs beside the test. */
export interface Guest {
  readonly pid: number;
  /** What it has printed so far, errors included. */
  readonly output: () => string;
  /** Writes a line to its stdin and resolves to the lines it prints before the line `end`. */
  readonly ask: (line: string, end: string) => Promise<string[]>;
  /** Ends its stdin, which is how a guest is told to leave, and waits for it. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a program and waits until it has printed a line `ready`; a shell script waits for
 * its end with `read -r _ || true`. It is stopped after the tests at the latest. @throws Error if it ends before that
 */
export async function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Guest> {
  const child = spawn('timeout', limited(60, command), { env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const isReady = (): boolean => output.split('\n').includes('ready');
  await until(() => isReady() || child.exitCode !== null, 'the guest is not ready', 30);
  if (!isReady()) throw new Error(`the guest ended early: ${output}`);
  const guest: Guest = {
    pid: child.pid ?? 0,
    output: () => output,
    ask: async (line, end) => {
      const from = output.length;
      child.stdin.write(`${line}\n`);
      const answer = (): string[] => output.slice(from).split('\n');
      await until(() => answer().includes(end) || child.exitCode !== null, `no '${end}' after '${line}'`, 30);
      return answer().slice(0, answer().indexOf(end));
    },
    stop: () => {
      child.stdin.end();
      return ended;
    },
  };
  running.push(guest);
  return guest;
}

/** Stopped at the latest by {@link leavesNothingBehind}. */
const running: Guest[] = [];

/** Starts a shell script as {@link inNamespace} runs one. */
export function startInNamespace(
  script: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Guest> {
  const command = [bpfnsPath, 'run', ...args, '--', ...asContainerUser, 'sh', '-ec', script];
  return start(command, { P: pinDirectory(), ...env });
}

/** A user with CAP_BPF and company, and without CAP_SYS_ADMIN: whom bpfns is for. */
export const asContainerUser: readonly string[] = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all,+bpf,+perfmon,+net_admin',
  '--inh-caps=-all,+bpf,+perfmon,+net_admin',
  '--ambient-caps=-all,+bpf,+perfmon,+net_admin',
];

/** Runs a shell script in a namespace of its own as the container user; `$P` is a bpffs directory of theirs. */
export function inNamespace(
  script: string,
  options: { args?: readonly string[]; env?: NodeJS.ProcessEnv; timeoutSeconds?: number } = {},
): Outcome {
  return bpfns(['run', ...(options.args ?? []), '--', ...asContainerUser, 'sh', '-ec', script], {
    env: { P: pinDirectory(), ...options.env },
    ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds: options.timeoutSeconds }),
  });
}

/** A directory in bpffs that the container user may pin into; {@link removePins} ends it. */
export function pinDirectory(): string {
  const path = `/sys/fs/bpf/bpfns-test-${process.pid}`;
  if (!existsSync(path)) {
    mkdirSync(path);
    run(['chown', '65534', path]);
    run(['chmod', '755', '/sys/fs/bpf']);
  }
  return path;
}

export function removePins(): void {
  run(['rm', '-rf', `/sys/fs/bpf/bpfns-test-${process.pid}`]);
}

/** One object of `bpfns KIND list --json` or `bpfns who KIND HOSTID --json`. */
export interface Listed {
  readonly hostId: number;
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly namespace: { readonly id: number; readonly name: string };
  readonly creator: { readonly pid: number; readonly comm: string; readonly uid: number } | null;
  readonly users: ReadonlyArray<{ readonly pid: number; readonly comm: string }>;
  readonly pins: readonly string[];
}

/** What the host sees of a namespace's objects of one kind. */
export function listed(kind: string, namespace: string): Listed[] {
  const { stdout, stderr } = bpfns([kind, 'list', '--ns', namespace, '--json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout).objects;
}

/** The names of all namespaces, init's among them. */
export function namespaceNames(): string[] {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
  return namespaces.map(({ name }: { name: string }) => name);
}

/** What `bpfns who` tells of an object. */
export function who(kind: string, hostId: number): Listed & { readonly keptAliveBy: readonly string[] } {
  const { stdout, stderr } = bpfns(['who', kind, String(hostId), '--json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

/** What of ours or a guest's could stay behind on a host. */
export interface HostState {
  readonly objects: Readonly<Record<string, readonly number[]>>;
  readonly mounts: readonly string[];
  readonly agents: readonly string[];
  readonly runEntries: readonly string[];
}

/** Set where others make objects and mounts meanwhile: only what bears our own names is compared then. */
const isShared = process.env.BPFNS_TEST_SHARED_HOST !== undefined;
if (isShared) process.stderr.write('BPFNS_TEST_SHARED_HOST: objects of this host are not compared before and after\n');

export function hostState(): HostState {
  // Where debugfs is mounted it mounts this when it is first looked at, by whomever: libbpf does.
  existsSync('/sys/kernel/debug/tracing/events');
  return {
    objects: isShared ? {} : Object.fromEntries(kinds.map((kind) => [kind, [...hostIds(kind)]])),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .trimEnd()
      .split('\n')
      .filter((mount) => !isShared || mount.includes(String(process.pid)))
      .sort(),
    agents: agentsOf(runDir ?? ''),
    runEntries: existsSync(runDir ?? '') ? readdirSync(runDir ?? '') : [],
  };
}

/** Pids of agents that serve a run directory. */
export function agentsOf(directory: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const isAgent = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('bpfns.js\0agent');
      return isAgent && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`BPFNS_RUN_DIR=${directory}\0`);
    } catch {
      return false;
    }
  });
}

/** Waits for the agent to leave by itself. @throws Error if it does not within 10 s */
export async function agentGone(): Promise<void> {
  const leaked = `${runDir}/leaked-fds`;
  await until(
    () => (!existsSync(runDir ?? '') && agentsOf(runDir ?? '').length === 0) || existsSync(leaked),
    'the agent has not left',
  );
  if (!existsSync(leaked)) return;
  const stacks = readFileSync(leaked, 'utf8');
  rmSync(leaked);
  throw new Error(`the agent has left descriptors open: ${stacks}`);
}

/** For an agent that waits long: tells it, once its last namespace is gone, that there will be none. */
async function dismissAgent(): Promise<void> {
  // Not before the run directory is set.
  const { readRecords } = await import('../../src/host/inventory.js');
  const isIdle = (): boolean => !existsSync(runDir ?? '') || readRecords().model.all().length === 1;
  await until(isIdle, 'namespaces are left');
  for (const pid of agentsOf(runDir ?? '')) process.kill(Number(pid), 'SIGTERM');
}

/** Waits until `condition` holds; longer on a slow machine. */
export async function until(condition: () => boolean, otherwise: string, seconds = 10): Promise<void> {
  const most = limit(seconds);
  for (const end = Date.now() + most * 1000; !condition(); ) {
    if (Date.now() > end) throw new Error(`${otherwise} within ${most} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * For use in a `describe`, before any other hook: after its tests nothing of ours is on the
 * host that was not before. `cleanUp` runs once the guests have ended.
 */
export function leavesNothingBehind(cleanUp: () => void = () => undefined): void {
  let earlier: HostState;
  before(() => {
    earlier = hostState();
  });
  after(async () => {
    for (const guest of running.splice(0)) await guest.stop();
    cleanUp();
    removePins();
    if (isSlow) await dismissAgent();
    await agentGone();
    // The kernel frees objects a moment after their last reference (RCU).
    await until(() => isDeepStrictEqual(hostState(), earlier), 'the host has not gone back to what it was').catch(
      () => undefined,
    );
    assert.deepEqual(hostState(), earlier);
  });
}
