/** Looks at the agent from outside: its fds, its memory, its log. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { agentsOf, bpfns, bpfnsPath, runDir, until } from './host.js';

export interface ObservedAgent {
  /** Of the one agent that serves now; 0 if there is none. */
  pid(): number;
  /** How many fds it holds once nothing is under way. */
  fds(): Promise<number>;
  /** The most memory it ever held, in MiB. */
  peakMiB(): number;
  /** The memory it holds now, in MiB; garbage of JavaScript's that waits to be collected included. */
  residentMiB(): number;
  /** What of it the C library hands out, in MiB: exact, as nothing of JavaScript's is in it. */
  nativeMiB(): number;
  /** What it has logged: every fault of its own is there. */
  log(): string;
}

/**
 * For use in a `describe` inside the one that calls leavesNothingBehind(): keeps one agent
 * running over all of its tests, by a namespace that sleeps.
 */
export function keepsOneAgent(): ObservedAgent {
  const pid = (): number => Number(agentsOf(runDir ?? '')[0] ?? 0);
  const countFds = (): number => readdirSync(`/proc/${pid()}/fd`).length;
  let sleeper: ReturnType<typeof spawn>;
  before(async () => {
    sleeper = spawn(bpfnsPath, ['run', '--', 'sleep', 'infinity'], { stdio: 'ignore' });
    await until(() => {
      // Only once the namespace is there does the agent stay.
      return pid() > 0 && readFileSync(`/proc/${sleeper.pid}/cmdline`, 'latin1').startsWith('sleep');
    }, 'no agent has started');
    // What it opens once and for all, it opens with its first calls.
    bpfns(['run', '--', 'bpftool', 'map', 'list']);
  });
  after(() => {
    sleeper.kill('SIGKILL');
  });
  return {
    pid,
    async fds() {
      // Listeners of finished namespaces and a worker's start come and go for a moment.
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

/** The kibibytes that a file of procfs says, in MiB. */
function mebibytes(pattern: RegExp, path: string): number {
  return Number(pattern.exec(readFileSync(path, 'latin1'))?.[1]) / 1024;
}
