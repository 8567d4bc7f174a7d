/** The agent is killed before each system call of an answer. The call is carried out once. */
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { agentServes, allRight, startGuest } from '../support/crash-guests.js';
import { agentsOf, bpfns, leavesNothingBehind, runDir, skipReason, until } from '../support/host.js';
import { isSlow, limit } from '../support/slowness.js';

const agent = (): string => agentsOf(runDir ?? '')[0] ?? '';
/** The system calls that the agent makes for a call, without the wait for the next one. */
const systemCalls =
  'ioctl,bpf,openat,close,readlink,capget,pidfd_open,pidfd_getfd,perf_event_open,pread64,pwrite64,process_vm_readv,read,sendmsg';

/**
 * Kills the agent at the `nth` system call of one of its threads from now on, unless it exits before
 * that. Resolves when strace has exited.
 * @param threads all of them, or the one that serves
 */
async function killAt(nth: number, threads: 'all' | 'one'): Promise<void> {
  const inject = `inject=${systemCalls}:signal=KILL:when=${nth}`;
  const follow = threads === 'all' ? ['-f'] : [];
  const command = ['strace', ...follow, '-p', agent(), '-o', '/dev/null', '-e', inject];
  const strace = spawn('timeout', [String(limit(5)), ...command], { stdio: 'ignore' });
  await new Promise((resolve) => strace.once('close', resolve));
}

/** More than the system calls of the longest answer. */
const KILLS = 25;

describe('the agent killed before its nth system call', { skip: skipReason }, () => {
  leavesNothingBehind();

  // A tracing program is loaded on a thread of its own.
  for (const role of ['nest', 'list', 'create', 'stats', 'trace']) {
    test(`'${role}': every answer is right, whichever n`, { timeout: limit(900_000) }, async (t) => {
      const guest = startGuest(role, role);
      await until(() => bpfns(['ls']).stdout.includes(role), 'the guest has not started');
      let kills = 0;
      while (kills < KILLS) {
        await agentServes();
        // The thread that looks up pins starts later, and its start should not be hit each time.
        if (isSlow) await new Promise((resolve) => setTimeout(resolve, limit(150)));
        const before = agent();
        await killAt(1 + kills, role === 'trace' ? 'all' : 'one');
        await until(() => agent() !== '', 'no agent has come back');
        if (agent() !== before) kills++;
      }
      const { calls, fdsLost } = await allRight([guest]);
      t.diagnostic(`${calls} calls, ${fdsLost} fds were lost`);
    });
  }
});
