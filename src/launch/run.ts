/** `bpfns run` and `bpfns exec`: this process becomes CMD, in a namespace. */

import { readFileSync } from 'node:fs';
import { AgentClient } from '../control/client.js';
import type { JoinRequest, NamespaceReply, PinsPolicy, RunRequest } from '../control/protocol.js';
import { buildFilter, type Nesting } from '../filter/filter.js';
import { enterChild, kernelUsesBit34 } from '../filter/own-command.js';
import { trappedCommands, trappedWithoutStats } from '../filter/trapped.js';
import { nameProblem } from '../model/names.js';
import { check, E, errnoName, SyscallError } from '../sys/errno.js';
import { close, cStrings, execvpe } from '../sys/libc.js';
import { installFilter } from '../sys/seccomp.js';
import { inheritedEnvironment, restoreInherited, splitStrings } from './inherited.js';

/** Exit statuses of bpfns itself, like those of env(1) and timeout(1). */
export const EXIT_FAILED = 125;
export const EXIT_NOT_EXECUTABLE = 126;
export const EXIT_NOT_FOUND = 127;

export interface RunOptions {
  /** '' for none. */
  readonly name: string;
  readonly pins: PinsPolicy;
  /** The parent namespace; undefined for the caller's own. */
  readonly parent: string | undefined;
  /** Whether clone3() and unshare() create namespaces inside. 'auto': clone3() only where bit 34 is free. */
  readonly nesting: boolean | 'auto';
  /** Whether programs inside may enable run statistics. */
  readonly stats: boolean;
  /** The command and its arguments, at least one. */
  readonly command: readonly string[];
}

type Warn = (line: string) => void;

/** Replaces the process by the command. Returns only if that fails: an exit status, after a message. */
export async function run(options: RunOptions, warn: Warn): Promise<number> {
  const { name, pins, parent } = options;
  const isNested = parent === undefined && enterOwnChild(name, pins);
  if (!isNested) {
    const request = { op: 'run', parent: parent ?? 'init', name, pins } as const;
    await enterThroughAgent(request, options.nesting, options.stats);
  }
  return become(options.command, warn);
}

/** Like {@link run}, in an existing namespace. */
export async function exec(namespace: string, command: readonly string[], warn: Warn): Promise<number> {
  await enterThroughAgent({ op: 'join', namespace }, 'auto', true);
  return become(command, warn);
}

/** Asks the agent of the caller's namespace, by bpf(2). @returns false outside any namespace */
function enterOwnChild(name: string, pins: PinsPolicy): boolean {
  const problem = name === '' ? undefined : nameProblem(name);
  if (problem) throw new SyscallError(E.EINVAL, 'run', `cannot call a namespace '${name}': ${problem}`);
  const result = enterChild(name, pins);
  if (result !== -E.EINVAL) {
    check(result, 'bpf', `cannot make a child of this process's namespace${name ? ` called '${name}'` : ''}`);
    return true;
  }
  if (process.geteuid?.() !== 0) throw new SyscallError(E.EPERM, 'run', 'outside a namespace this needs root');
  return false;
}

async function enterThroughAgent(
  request: Omit<RunRequest, 'listener'> | Omit<JoinRequest, 'listener'>,
  nesting: boolean | 'auto',
  stats: boolean,
): Promise<void> {
  // Start the agent first: started after the filter, it would be in the namespace itself.
  const agent = await AgentClient.connectOrStart();
  const filter = buildFilter(stats ? trappedCommands : trappedWithoutStats, nestingOf(nesting));
  const listener = check(installFilter(filter), 'seccomp', installProblem);
  await agent.ask<NamespaceReply>({ ...request, listener });
  agent.close();
  // A process that keeps its own listener open hangs in its first trapped call.
  close(listener);
}

/** The kernel does not use bit 34 of unshare(), so this concerns clone3() alone. */
function nestingOf(nesting: boolean | 'auto'): Nesting {
  return nesting === 'auto' ? { clone3: !kernelUsesBit34(), unshare: true } : { clone3: nesting, unshare: nesting };
}

const installProblem =
  'cannot put the seccomp filter in place (EBUSY: another agent traps calls of this process already; ' +
  'EACCES: CAP_SYS_ADMIN is missing)';

function become(command: readonly string[], warn: Warn): number {
  // process.argv and process.env lose bytes that are not UTF-8.
  const argv = cStrings(splitStrings(readFileSync('/proc/self/cmdline')).slice(-command.length));
  const environment = cStrings(inheritedEnvironment());
  restoreInherited();
  const errno = -execvpe(argv.keep[0] ?? Buffer.alloc(1), argv.array, environment.array);
  warn(`cannot run '${command[0]}': ${errnoName(errno)}`);
  return errno === E.ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
