/** Runs the agent as a process: lock, log, readiness, signals. Only this file writes to the log. */
import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { AgentClient } from '../control/client.js';
import { paths, runDir } from '../recorder/paths.js';
import { check, E } from '../sys/errno.js';
import { flock } from '../sys/libc.js';
import { Agent, defaultMaxNamespaces } from './agent.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_RETRY_MS = 10;
const DEFAULT_LINGER_MS = 1000;

/**
 * Serves until nothing needs it, then exits. `ready`, if given, is an fd that gets one
 * line: "ready", or why the agent could not start; then it is closed.
 */
export async function agentMain(ready: number | undefined): Promise<void> {
  const tell = (line: string): void => {
    if (ready === undefined) return;
    writeSync(ready, `${line}\n`);
    closeSync(ready);
  };
  try {
    const lock = await takeLock();
    if (lock === undefined) {
      tell('ready');
      process.exit(0);
    }
    const agent = new Agent({
      lingerMs: Number(process.env.BPFNS_LINGER_MS ?? DEFAULT_LINGER_MS),
      maxNamespacesPerUser: Number(process.env.BPFNS_MAX_NAMESPACES ?? defaultMaxNamespaces()),
      onFault: (command, error) => log(`${command}: ${error instanceof Error ? error.stack : String(error)}`),
      onExit: () => leave(lock),
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => agent.stop());
    await agent.listen();
    tell('ready');
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

/**
 * One agent a machine: the one that holds the lock, which ends with the process. While another
 * starts up or finishes leaving this waits; undefined once another serves.
 */
async function takeLock(): Promise<number | undefined> {
  for (;;) {
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    const fd = openLock();
    if (fd === undefined) continue; // the earlier one just left
    const result = flock(fd, LOCK_EX | LOCK_NB);
    if (result < 0 && result !== -E.EAGAIN) check(result, 'flock', `cannot lock '${paths.lock}'`);
    // The earlier one removes the file as it leaves: a lock on a removed file is no lock.
    if (result >= 0 && fstatSync(fd).ino === statSync(paths.lock, { throwIfNoEntry: false })?.ino) return fd;
    closeSync(fd);
    const other = await AgentClient.connect();
    if (other) {
      other.close();
      return undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
}

function openLock(): number | undefined {
  try {
    return openSync(paths.lock, 'w', 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function log(line: string): void {
  appendFileSync(paths.log, `${new Date().toISOString()} ${line}\n`, { mode: 0o600 });
}

function leave(lock: number): never {
  for (const path of [paths.socket, paths.log, paths.lock]) rmSync(path, { force: true });
  try {
    rmdirSync(runDir);
  } catch {
    // Something else is in it: not ours to remove.
  }
  closeSync(lock);
  process.exit(0);
}
