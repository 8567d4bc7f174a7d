/** `bpfns run` and `bpfns exec`: this process becomes CMD, in a namespace. */

import { readFileSync } from 'node:fs';
import type {
  DescribeRequest,
  JoinRequest,
  NamespaceReply,
  PinsPolicy,
  RunRequest,
  TracefsReply,
} from '../control/protocol.js';
import { userSocket } from '../control/user-socket.js';
import { buildFilter, type OtherCalls } from '../filter/filter.js';
import { enterChild, kernelUsesBit34, ownNamespace } from '../filter/own-command.js';
import { trappedFor } from '../filter/trapped.js';
import { nameProblem } from '../model/names.js';
import type { TracingMode } from '../model/namespaces.js';
import { check, E, errnoName, SyscallError } from '../sys/errno.js';
import { close, cStrings, execvpe } from '../sys/libc.js';
import { installFilter } from '../sys/seccomp.js';
import { CAP_PERFMON, CAP_SYS_ADMIN, giveUpCapabilities } from '../sys/task.js';
import { mountDelegation } from './bpffs.js';
import { connect } from './connection.js';
import { inheritedEnvironment, restoreInherited, splitStrings } from './inherited.js';
import { replaceTracefs } from './tracefs.js';

/** Exit statuses of bpfns itself, like those of env(1) and timeout(1). */
export const EXIT_FAILED = 125;
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;

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
  /** What may be traced inside; undefined: as in the parent. */
  readonly tracing: TracingMode | undefined;
  /** What a BPF token may do inside, as model/delegation.ts reads it; undefined: no delegation. */
  readonly delegate: string | undefined;
  /** The command and its arguments, at least one. */
  readonly command: readonly string[];
}

type Warn = (line: string) => void;

/** Replaces the process by the command. Returns only if that fails: an exit status, after a message. */
export async function run(options: RunOptions, warn: Warn): Promise<number> {
  const { name, pins, parent = 'init' } = options;
  if (options.parent !== undefined || !enterOwnChild(options)) {
    const describeParent = { op: 'describe', namespace: parent } as const;
    await enterThroughAgent(describeParent, options, (inherited) => {
      const tracing = options.tracing ?? inherited;
      return { tracing, request: { op: 'run', parent, name, pins, tracing } };
    });
  }
  return become(options.command, warn);
}

/** Like {@link run}, in an existing namespace. */
export async function exec(namespace: string, command: readonly string[], warn: Warn): Promise<number> {
  const options = { nesting: 'auto', stats: true, delegate: undefined } as const;
  await enterThroughAgent({ op: 'describe', namespace }, options, (tracing) => {
    return { tracing, request: { op: 'join', namespace } };
  });
  return become(command, warn);
}

/** Asks the agent of the caller's namespace, by bpf(2). @returns false outside any namespace */
function enterOwnChild({ name, pins, tracing, delegate }: RunOptions): boolean {
  const problem = name === '' ? undefined : nameProblem(name);
  if (problem) throw new SyscallError(E.EINVAL, 'run', `cannot call a namespace '${name}': ${problem}`);
  if (tracing !== undefined && ownNamespace()) {
    throw new SyscallError(E.EINVAL, 'run', 'inside a namespace --tracing is as in that: leave it out');
  }
  if (delegate !== undefined && ownNamespace()) {
    throw new SyscallError(
      E.EINVAL,
      'run',
      'inside a namespace there is no --delegate: a bpffs of the outermost stays',
    );
  }
  const result = enterChild(name, pins);
  if (result !== -E.EINVAL) {
    check(result, 'bpf', `cannot make a child of this process's namespace${name ? ` called '${name}'` : ''}`);
    return true;
  }
  if (process.geteuid?.() !== 0 && userSocket() === undefined) {
    throw new SyscallError(E.EPERM, 'run', 'outside a namespace this needs root, or [[users]] in bpfns.conf(5)');
  }
  return false;
}

/** What is asked for once it is known what may be traced in the namespace that was described. */
type Choose = (described: TracingMode) => {
  readonly tracing: TracingMode;
  readonly request: Omit<RunRequest, 'listener'> | Omit<JoinRequest, 'listener'>;
};

async function enterThroughAgent(
  description: DescribeRequest,
  { nesting, stats, delegate }: Pick<RunOptions, 'nesting' | 'stats' | 'delegate'>,
  choose: Choose,
): Promise<void> {
  // Start the agent first: started after the filter, it would be in the namespace itself.
  const { agent, isUsers } = await connect();
  // Namespaces of users have no other mode.
  const described = isUsers ? 'host' : (await agent.ask<NamespaceReply>(description)).tracing;
  const { tracing, request } = choose(described);
  if (delegate !== undefined && tracing !== 'host') {
    throw new SyscallError(
      E.EINVAL,
      'run',
      `a BPF token is not bound by --tracing=${tracing}: delegate with host only`,
    );
  }
  if (delegate !== undefined) await mountDelegation(agent, delegate);
  // Before the filter: the agent keeps the view as long as there is a namespace, or this connection.
  if (tracing === 'own') replaceTracefs((await agent.ask<TracefsReply>({ op: 'tracefs' })).path);
  const filter = buildFilter(trappedFor(tracing, stats), { ...nestingOf(nesting), perf: tracing !== 'host' });
  const listener = check(installFilter(filter), 'seccomp', installProblem);
  await agent.ask<NamespaceReply>({ ...request, listener });
  agent.close();
  // A process that keeps its own listener open hangs in its first trapped call.
  close(listener);
  if (tracing !== 'own' && tracing !== 'none') return;
  // The kernel itself then refuses what is exchanged behind the agent's back.
  check(giveUpCapabilities(CAP_PERFMON | CAP_SYS_ADMIN), 'capset', 'cannot give up CAP_PERFMON and CAP_SYS_ADMIN');
}

/** The kernel does not use bit 34 of unshare(), so this concerns clone3() alone. */
function nestingOf(nesting: boolean | 'auto'): OtherCalls {
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
