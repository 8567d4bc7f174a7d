/** `bpfns run`: this process becomes CMD, in a namespace of its own. */
import { readFileSync } from 'node:fs';
import { trappedCommands } from '../agent/trapped.js';
import { AgentClient } from '../control/client.js';
import { PROTOCOL_VERSION, type RunReply } from '../control/protocol.js';
import { check, E, errnoName } from '../sys/errno.js';
import { close, cStrings, execvp } from '../sys/libc.js';
import { buildFilter, installFilter } from '../sys/seccomp.js';
import { restoreInherited } from './inherited.js';

/** Exit statuses of bpfns itself, as of env(1) and timeout(1). */
export const EXIT_FAILED = 125;
export const EXIT_NOT_EXECUTABLE = 126;
export const EXIT_NOT_FOUND = 127;

export interface RunOptions {
  /** '' for none. */
  readonly name: string;
  readonly pins: 'own' | 'any';
  /** The command and its arguments, at least one. */
  readonly command: readonly string[];
}

/** Replaces the process by the command. Returns only if that failed: the exit status, after telling why. */
export async function run(options: RunOptions, warn: (line: string) => void): Promise<number> {
  // First the agent: one started after the filter would be in the namespace itself.
  const agent = await AgentClient.connectOrStart();
  const filter = buildFilter(trappedCommands);
  const listener = check(installFilter(filter), 'seccomp', installProblem());
  await agent.ask<RunReply>({ op: 'run', version: PROTOCOL_VERSION, name: options.name, pins: options.pins, listener });
  agent.close();
  // Who holds its own listener hangs in its first trapped call.
  close(listener);

  const { array, keep } = cStrings(argumentBytes(options.command.length));
  restoreInherited();
  const errno = -execvp(keep[0] ?? Buffer.alloc(1), array);
  warn(`cannot run '${options.command[0]}': ${errnoName(errno)}`);
  return errno === E.ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

function installProblem(): string {
  return (
    'cannot put the seccomp filter in place (EBUSY: another agent traps calls of this process already; ' +
    'EACCES: CAP_SYS_ADMIN is missing)'
  );
}

/** The last `count` arguments as bytes: process.argv has lost what is not UTF-8. */
function argumentBytes(count: number): Buffer[] {
  const all: Buffer[] = [];
  const line = readFileSync('/proc/self/cmdline');
  for (let at = 0; at < line.length; ) {
    const end = line.indexOf(0, at);
    all.push(line.subarray(at, end));
    at = end + 1;
  }
  return all.slice(-count);
}
