/** Runs the agent as a process, under its holder: readiness, log, signals. Only this file writes to the log. */
import { appendFileSync, closeSync, rmSync, writeSync } from 'node:fs';
import { paths } from '../recorder/paths.js';
import { Agent, defaultMaxNamespaces } from './agent.js';
import { HolderLink } from './held.js';

const DEFAULT_LINGER_MS = 1000;

export interface AgentMainOptions {
  /** An fd that gets one line, "ready" or why the agent could not start, and is then closed. */
  readonly ready: number | undefined;
  /** Stays when nothing needs it, and logs to stderr. */
  readonly isDaemon: boolean;
}

/** Serves until nothing needs it, then exits with 0: the holder ends too. */
export async function agentMain({ ready, isDaemon }: AgentMainOptions): Promise<void> {
  const tell = (line: string): void => {
    if (ready === undefined) return;
    writeSync(ready, `${line}\n`);
    closeSync(ready);
  };
  const log = isDaemon ? logToStderr : logToFile;
  try {
    const holder = new HolderLink(isDaemon ? ['--daemon'] : [], log);
    const agent = new Agent(
      {
        lingerMs: isDaemon ? Number.POSITIVE_INFINITY : Number(process.env.BPFNS_LINGER_MS ?? DEFAULT_LINGER_MS),
        maxNamespacesPerUser: Number(process.env.BPFNS_MAX_NAMESPACES ?? defaultMaxNamespaces()),
        onFault: (command, error) =>
          log(`fault in ${command}: ${error instanceof Error ? error.stack : String(error)}`),
        onContainer: ({ container, pid, namespace }) => {
          if (isDaemon) log(`container ${container}, process ${pid}, joined namespace ${namespace.path}`);
        },
        onRefused: (reason) => log(`refused: ${reason}`),
        onExit: (isDone) => void leave(holder, isDone),
      },
      holder,
      await holder.begin(),
    );
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => agent.stop());
    await agent.listen();
    holder.serving();
    tell('ready');
    if (isDaemon) log('ready');
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

function logToFile(line: string): void {
  appendFileSync(paths.log, `${new Date().toISOString()} ${line}\n`, { mode: 0o600 });
}

function logToStderr(line: string): void {
  writeSync(2, `bpfns: ${line}\n`);
}

async function leave(holder: HolderLink, isDone: boolean): Promise<never> {
  const own = isDone ? [paths.socket, paths.log, paths.containers] : [paths.socket];
  for (const path of own) rmSync(path, { force: true, recursive: true });
  await holder.leaving();
  process.exit(0);
}
