/** Observes the agent from outside: its fds, its memory, its log. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { after, before } from 'node:test';
import { agentsOf, bpfns, bpfnsPath, runDir, until } from './host.js';

export interface ObservedAgent {
  /** The pid of the agent that serves now; 0 if there is none. */
  pid(): number;
  /** How many fds it has open once nothing is in progress, but for {@link kept} ones. */
  fds(): Promise<number>;
  /** How many memories and pidfds of callers it keeps open. */
  kept(): number;
  /** The most memory it ever used, in MiB. */
  peakMiB(): number;
  /** The memory it uses now, in MiB, including JavaScript garbage that is not collected yet. */
  residentMiB(): number;
  /** The part that the C library allocated, in MiB. It is exact, as it contains nothing of JavaScript. */
  nativeMiB(): number;
  /** Its log, which has every fault of the agent. */
  log(): string;
}

/**
 * Keeps one agent running during all tests of a `describe`, with a namespace that sleeps. For use
 * inside a `describe` that calls leavesNothingBehind().
 */
export function keepsOneAgent(): ObservedAgent {
  const pid = (): number => Number(agentsOf(runDir ?? '')[0] ?? 0);
  const links = (): string[] => {
    const directory = `/proc/${pid()}/fd`;
    return readdirSync(directory).flatMap((fd) => {
      try {
        return [readlinkSync(`${directory}/${fd}`)];
      } catch {
        return []; // closed meanwhile
      }
    });
  };
  const isKept = (link: string): boolean => /^\/proc\/\d+\/mem$|pidfd/.test(link);
  const countFds = (): number => links().filter((link) => !isKept(link)).length;
  let sleeper: ReturnType<typeof spawn>;
  before(async () => {
    sleeper = spawn(bpfnsPath, ['run', '--', 'sleep', 'infinity'], { stdio: 'ignore' });
    await until(() => {
      // The agent stays only once the namespace exists.
      return pid() > 0 && readFileSync(`/proc/${sleeper.pid}/cmdline`, 'latin1').startsWith('sleep');
    }, 'no agent has started');
    // The first calls open what the agent keeps open.
    bpfns(['run', '--', 'bpftool', 'map', 'list']);
  });
  after(() => {
    sleeper.kill('SIGKILL');
  });
  return {
    pid,
    kept: () => links().filter(isKept).length,
    async fds() {
      // Listeners of namespaces that ended, and the start of a worker, change the count for a moment.
      let last = countFds();
      for (let same = 0; same < 5; same++) {
        await new Promise((resolve) => setTimeout(resolve, 150));
        const now = countFds();
        if (now !== last) same = 0;
        last = now;
      }
      return last;
    },
    peakMiB: () => mebibytes(/^VmHWM:\s+(\d+)/m, `/proc/${pid()}/status`),
    residentMiB: () => mebibytes(/^VmRSS:\s+(\d+)/m, `/proc/${pid()}/status`),
    nativeMiB: () => mebibytes(/\[heap\]\n(?:.+\n)*?Rss:\s+(\d+)/, `/proc/${pid()}/smaps`),
    log: () => (existsSync(`${runDir}/agent.log`) ? readFileSync(`${runDir}/agent.log`, 'utf8') : ''),
  };
}

/** A number of kibibytes from a file of procfs, in MiB. */
function mebibytes(pattern: RegExp, path: string): number {
  return Number(pattern.exec(readFileSync(path, 'latin1'))?.[1]) / 1024;
}
