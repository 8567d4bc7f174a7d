/** Runs the agent as a process, under its supervisor: readiness, log, signals, metrics. */
import { closeSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Config, checkConfig } from '../config/config.js';
import { readOnlyGroup } from '../config/group.js';
import { paths } from '../config/paths.js';
import { printable } from '../control/printable.js';
import { defaultLimits } from '../recorder/budgets.js';
import { SupervisorLink } from '../supervisor/link.js';
import { openFds } from '../sys/fd.js';
import { giveFreedMemoryBack } from '../sys/libc.js';
import { notifyManager, watchdogInterval } from '../sys/notify.js';
import { giveStartMemoryBack } from '../sys/start-memory.js';
import { daemonLog, type Log, logTo, toFile } from '../telemetry/log.js';
import { Agent, type AgentOptions } from './agent.js';

const DEFAULT_LINGER_MS = 1000;
/** Bytes of tracing programs. */
const PROGRAM_MEMORY = 64 * 1024 * 1024;

export interface AgentMainOptions {
  /** An fd that gets one line, "ready" or the reason why the agent could not start, and is then closed. */
  readonly ready: number | undefined;
  /** The configuration of a daemon, as JSON. A daemon stays when it is idle, and logs to stderr. */
  readonly daemon: string | undefined;
}

/** Serves until nothing needs the agent, then exits with 0. The supervisor then exits too. */
export async function agentMain({ ready, daemon }: AgentMainOptions): Promise<void> {
  const tell = (line: string): void => {
    if (ready === undefined) return;
    writeSync(ready, `${line}\n`);
    closeSync(ready);
  };
  giveFreedMemoryBack();
  const isDaemon = daemon !== undefined;
  const config = checkConfig(JSON.parse(daemon ?? '{}'));
  const log = openLog(config, isDaemon);
  // Before there is an agent, there is nothing to undo. Signals are events: they come before it is made, or after.
  let stop = (): void => process.exit(0);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop());
  try {
    const supervisor = new SupervisorLink(isDaemon ? ['--daemon', daemon] : [], (message) => log('warning', message));
    const agent = new Agent(
      {
        lingerMs: isDaemon ? Number.POSITIVE_INFINITY : Number(process.env.BPFNS_LINGER_MS ?? DEFAULT_LINGER_MS),
        maxNamespacesPerUser: maxNamespaces(config),
        runtime: config.statistics.runtime,
        readOnlyGroup: readOnlyGroup(config),
        users: config.users.map(({ delegate, ...rest }) => ({ ...rest, delegate })),
        tracefs: config.tracing.tracefs,
        limits: limitsOf(config),
        onFault: (command, error) =>
          log('error', `fault in ${command}: ${error instanceof Error ? error.stack : String(error)}`),
        onContainer: ({ container, pid, namespace, isExec }) =>
          log(isExec ? 'debug' : 'info', isExec ? 'process joined its container' : 'container joined', {
            container,
            pid,
            namespace: namespace.path,
          }),
        onLost: ({ container, namespace }) =>
          log('error', 'the listener of a container is lost, its calls fail with ENOSYS: restart it', {
            container,
            namespace: namespace.path,
          }),
        // Users choose some of it.
        onRefused: (reason) => log('warning', `refused: ${printable(reason)}`),
        onReplaced: () => void supervisor.leaving(true).then(() => process.exit(0)),
        onExit: (isDone) => void leave(supervisor, isDone),
      },
      supervisor,
      await supervisor.begin(),
    );
    stop = (): void => agent.stop();
    if (agent.carriedOver) log('info', 'took over from another version of bpfns', { ...agent.carriedOver });
    await agent.listen();
    const { listen, namespaces, programs } = config.metrics;
    if (listen !== undefined) {
      const { serveMetrics } = await import('../telemetry/metrics.js');
      await serveMetrics(listen, namespaces, () => agent.measure(programs));
    }
    supervisor.serving();
    tell('ready');
    if (isDaemon) reportReady(log);
    giveStartMemoryBack();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // A process waits for the first agent. If an agent that is restarted fails, only the log has
    // the reason.
    if (isDaemon || ready === undefined) log('error', `cannot start: ${message}`);
    tell(message);
    process.exit(1);
  }
}

function reportReady(log: Log): void {
  log('info', 'ready');
  notifyManager('READY=1', 'STATUS=Serving');
  const interval = watchdogInterval();
  // Sent from the loop that serves: if the loop hangs, this stops too.
  if (interval !== undefined) setInterval(() => notifyManager('WATCHDOG=1'), interval);
}

function openLog({ log }: Config, isDaemon: boolean): Log {
  return isDaemon ? daemonLog(log) : logTo(toFile(paths.log), { ...log, isJournal: false });
}

function maxNamespaces({ limits }: Config): number {
  return limits['namespaces-per-user'] ?? Number(process.env.BPFNS_MAX_NAMESPACES ?? defaultMaxNamespaces());
}

/** Without a file, tests and measurements set the number of objects through the environment; the rest goes with it. */
function limitsOf({ limits }: Config): AgentOptions['limits'] {
  const objects = limits.objects ?? Number(process.env.BPFNS_MAX_OBJECTS ?? defaultLimits.objects);
  const inProportion = (limit: number): number => Math.ceil((objects / defaultLimits.objects) * limit);
  return {
    objects,
    numbers: limits.numbers ?? inProportion(defaultLimits.numbers),
    namespaces: limits.namespaces ?? inProportion(defaultLimits.namespaces),
    programMemory: limits['program-memory'] ?? inProportion(PROGRAM_MEMORY),
    events: limits.events ?? inProportion(Math.max(1024, 32 * availableParallelism())),
  };
}

async function leave(supervisor: SupervisorLink, isDone: boolean): Promise<never> {
  notifyManager('STOPPING=1');
  const sockets = [paths.socket, paths.readOnlySocket, paths.users];
  const own = isDone ? [...sockets, paths.log, paths.containers, paths.service] : sockets;
  for (const path of own) rmSync(path, { force: true, recursive: true });
  const leaked = openFds();
  if (isDone && leaked.length > 0) writeFileSync(paths.leakedFds, leaked.join('\n\n'));
  await supervisor.leaving();
  process.exit(0);
}

/** The kernel's limit for its own namespaces: half of the threads (user_namespaces(7), /proc/sys/user). */
function defaultMaxNamespaces(): number {
  return Math.floor(Number(readFileSync('/proc/sys/kernel/threads-max', 'latin1')) / 2);
}
