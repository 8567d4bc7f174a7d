/** Runs bpfns and guests against the real kernel, and proves that nothing is left behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { kernelUsesBit34 } from '../../src/filter/own-command.js';
import { kinds } from '../../src/model/ids.js';
import { hostIds } from '../../src/sys/bpf.js';
import { Guest } from './guest.js';
import { bpfns, bpfnsPath, type Outcome, root, run, until } from './programs.js';
import { isSlow } from './slowness.js';

export { Guest } from './guest.js';
export { bpfns, bpfnsPath, limited, type Outcome, root, run, until } from './programs.js';

// Every test file has its own agent.
process.env.BPFNS_RUN_DIR ??= `/run/bpfns-test-${process.pid}`;
// On a slow machine the agent stays between tests, since it takes long to start.
process.env.BPFNS_LINGER_MS ??= isSlow ? '20000' : '300';
// How guests ask for a namespace: see clone_in_namespace() in test/guests/bpf.h.
process.env.NEWBPF_BY ??= kernelUsesBit34() ? 'unshare' : 'clone3';
// An agent that leaves a descriptor open says where it was taken.
process.env.BPFNS_TRACK_FDS ??= '1';
export const runDir = process.env.BPFNS_RUN_DIR;

/** The path of a compiled guest of test/guests. */
export function guestPath(name: string): string {
  return `${root}build/guests/${name}`;
}

/**
 * Why kernel tests cannot run here, or false if they can. In CI a missing prerequisite is a failure.
 * Use it as `test('...', { skip: skipReason }, ...)`.
 */
export const skipReason: string | false = (() => {
  const missing =
    process.geteuid?.() !== 0 ? 'kernel tests need root' : !existsSync('/sys/fs/bpf') ? 'no bpffs' : false;
  if (missing && process.env.CI) throw new Error(missing);
  return missing;
})();

/**
 * Starts a program and waits until it prints the line `ready`. A shell script waits for its end with
 * `read -r _ || true`. The program is stopped after the tests at the latest.
 * @throws Error if it ends before it is ready
 */
export async function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Guest> {
  const guest = new Guest(command, env, 'collected');
  await guest.printed('ready');
  running.push(guest);
  return guest;
}

/** {@link leavesNothingBehind} stops those that still run. */
const running: Guest[] = [];

/** Starts a shell script in the same way as {@link inNamespace} runs one. */
export function startInNamespace(
  script: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Guest> {
  const command = [bpfnsPath, 'run', ...args, '--', ...asContainerUser, 'sh', '-ec', script];
  return start(command, { P: pinDirectory(), ...env });
}

/** Makes a command run as the user that bpfns is for: with CAP_BPF and related capabilities, without CAP_SYS_ADMIN. */
export const asContainerUser: readonly string[] = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all,+bpf,+perfmon,+net_admin',
  '--inh-caps=-all,+bpf,+perfmon,+net_admin',
  '--ambient-caps=-all,+bpf,+perfmon,+net_admin',
];

/** Runs a shell script in a new namespace as the container user. `$P` is a bpffs directory of that user. */
export function inNamespace(
  script: string,
  options: { args?: readonly string[]; env?: NodeJS.ProcessEnv; timeoutSeconds?: number } = {},
): Outcome {
  return bpfns(['run', ...(options.args ?? []), '--', ...asContainerUser, 'sh', '-ec', script], {
    env: { P: pinDirectory(), ...options.env },
    ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds: options.timeoutSeconds }),
  });
}

/** Creates a directory in bpffs that the container user may pin into; {@link removePins} removes it. */
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

/** The host's view of a namespace's objects of one kind. */
export function listed(kind: string, namespace: string): Listed[] {
  const { stdout, stderr } = bpfns([kind, 'list', '--ns', namespace, '--json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout).objects;
}

/** The names of all namespaces, including init. */
export function namespaceNames(): string[] {
  const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
  return namespaces.map(({ name }: { name: string }) => name);
}

/** The output of `bpfns who` for an object. */
export function who(kind: string, hostId: number): Listed & { readonly keptAliveBy: readonly string[] } {
  const { stdout, stderr } = bpfns(['who', kind, String(hostId), '--json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

/** Everything that bpfns or a guest could leave behind on a host. */
export interface HostState {
  readonly objects: Readonly<Record<string, readonly number[]>>;
  readonly mounts: readonly string[];
  readonly agents: readonly string[];
  readonly runEntries: readonly string[];
}

/** Set where others create objects and mounts at the same time: then only our own names are compared. */
const isShared = process.env.BPFNS_TEST_SHARED_HOST !== undefined;
if (isShared) process.stderr.write('BPFNS_TEST_SHARED_HOST: objects of this host are not compared before and after\n');

export function hostState(): HostState {
  // debugfs mounts this at the first access, and libbpf accesses it.
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

/** The pids of agents that serve a run directory. */
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

/** Waits until the agent exits by itself. @throws Error if it does not within 30 s */
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

/** Makes an agent with a long linger time exit, once its last namespace has ended. */
async function dismissAgent(): Promise<void> {
  // Imported here, as it reads the run directory when it is loaded.
  const { readRecords } = await import('../../src/host/inventory.js');
  const isIdle = (): boolean => !existsSync(runDir ?? '') || readRecords().model.all().length === 1;
  await until(isIdle, 'namespaces are left');
  for (const pid of agentsOf(runDir ?? '')) process.kill(Number(pid), 'SIGTERM');
}

/** The host now, and what it should be: an object of `earlier` may have ended, also one of the test before. */
export function compared(earlier: HostState): [now: HostState, expected: HostState] {
  const now = hostState();
  const objects = Object.entries(earlier.objects).map(([kind, ids]) => {
    const living = new Set(now.objects[kind]);
    return [kind, ids.filter((id) => living.has(id))] as const;
  });
  return [now, { ...earlier, objects: Object.fromEntries(objects) }];
}

/**
 * Compares the host before and after the tests of a `describe`: nothing of ours may be left. Call it
 * before any other hook. `cleanUp` runs once the guests have ended.
 */
export function leavesNothingBehind(cleanUp: () => void | Promise<void> = () => undefined): void {
  let earlier: HostState;
  before(() => {
    earlier = hostState();
  });
  after(async () => {
    for (const guest of running.splice(0)) await guest.end();
    await cleanUp();
    removePins();
    if (isSlow) await dismissAgent();
    await agentGone();
    // The kernel frees objects a moment after their last reference (RCU).
    const isBack = (): boolean => isDeepStrictEqual(...compared(earlier));
    await until(isBack, 'the host has not gone back to what it was').catch(() => undefined);
    assert.deepEqual(...compared(earlier));
  });
}
