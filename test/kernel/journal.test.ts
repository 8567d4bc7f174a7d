/** A call in progress when an agent of another version comes: docs/decisions/0023-upgrade.md. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { agentsOf, leavesNothingBehind, runDir, skipReason, startInNamespace, until } from '../support/host.js';
import { limit } from '../support/slowness.js';

/** In the header of the journal. */
const VERSION = 4;

const agent = (): string => agentsOf(runDir ?? '')[0] ?? '';
const status = (pid: string, field: string): string =>
  new RegExp(`^${field}:\\s*(\\S+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';

/** Makes the journal, in memory of the supervisor, one of another version. */
function changeVersion(supervisor: string): void {
  const directory = `/proc/${supervisor}/fd`;
  const journal = readdirSync(directory).find((fd) => readlinkSync(`${directory}/${fd}`).includes('bpfns-journal'));
  assert.ok(journal !== undefined);
  const fd = openSync(`${directory}/${journal}`, 'r+');
  writeSync(fd, new Uint32Array([99]), 0, 4, VERSION);
  closeSync(fd);
}

describe('an agent that finds a journal of another version', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('has the call in it fail with EAGAIN, and answers the next', async () => {
    const guest =
      await startInNamespace(`bpftool map create $P/one type hash key 4 value 4 entries 1 name one; echo ready
      while bpftool map list 2>&1; do sleep 0.02; done
      bpftool map list && echo answered`);
    const killed = agent();
    const supervisor = status(killed, 'PPid');
    process.kill(Number(supervisor), 'SIGSTOP');
    try {
      // It writes the answer to the guest's memory.
      const kill = ['-e', 'trace=pwrite64', '-e', 'inject=pwrite64:signal=KILL:when=1'];
      spawn('timeout', [String(limit(60)), 'strace', '-p', killed, '-o', '/dev/null', ...kill], { stdio: 'ignore' });
      await until(() => status(killed, 'State') === 'Z', 'the agent has not been killed in a call');
      changeVersion(supervisor);
    } finally {
      process.kill(Number(supervisor), 'SIGCONT');
    }
    await guest.printed('answered');
    assert.match(guest.output(), /Resource temporarily unavailable\n.*answered\n$/s);
  });
});
