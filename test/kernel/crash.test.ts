/** An agent that is killed all the time, and guests that must not notice. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import {
  agentsOf,
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  pinDirectory,
  runDir,
  skipReason,
  until,
} from '../support/host.js';

const KILLS = 200;
const SECONDS = 120;
/** How long a call may take, in ms: a start of the agent, and what a few kills in a row add. */
const LONGEST_CALL = 5000;

interface Guest {
  readonly name: string;
  readonly process: ChildProcess;
  readonly output: () => string;
}

function start(name: string, role: string, seconds = SECONDS): Guest {
  const command = [guestPath('crash'), role, `${pinDirectory()}/${name}`, String(seconds)];
  const process = spawn(
    'timeout',
    ['-k', '1', String(seconds + 30), bpfnsPath, 'run', '--name', name, '--', ...asContainerUser, ...command],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  for (const stream of [process.stdout, process.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return { name, process, output: () => text };
}

function ended({ process }: Guest): Promise<number | null> {
  if (process.exitCode !== null) return Promise.resolve(process.exitCode);
  return new Promise((resolve) => process.once('close', resolve));
}

const agent = (): number => Number(agentsOf(runDir ?? '')[0] ?? 0);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Listed {
  readonly id: number;
  readonly name: string;
  readonly level: number;
}
const namespaces = (): Listed[] => JSON.parse(bpfns(['ls', '--json']).stdout).namespaces;

/** Kills the agent of the moment so many times, at random moments, its start among them. */
async function killAgents(kills: number, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  for (let left = kills; left > 0; left--) {
    await pause((Math.random() * 2 * Math.max(end - Date.now(), 0)) / left);
    await until(() => agent() !== 0, 'no agent has come back');
    process.kill(agent(), 'SIGKILL');
  }
}

describe('kill -9 of the agent', { skip: skipReason }, () => {
  leavesNothingBehind();

  test(`${KILLS} times: 20 guests that list and 6 that create get every answer, and get it right`, async (t) => {
    assert.equal(bpfns(['create', 'kept']).status, 0);
    const roles = [...Array(20).fill('list'), ...Array(4).fill('create'), ...Array(2).fill('nest')];
    const guests = roles.map((role: string, i) => start(`${role}${i}`, role));
    t.after(() => {
      for (const { process } of guests) process.kill();
      bpfns(['rm', 'kept']);
    });
    const atTop = (): Listed[] => namespaces().filter(({ level }) => level === 1);
    await until(() => atTop().length === guests.length + 1, 'the guests have not started', 60);
    const before = atTop();
    await killAgents(KILLS, SECONDS - 20);
    await until(() => agent() !== 0, 'no agent has come back');
    assert.deepEqual(
      atTop().map(({ id, name }) => [id, name]),
      before.map(({ id, name }) => [id, name]),
    );

    const results = await Promise.all(
      guests.map(async (guest) => ({ name: guest.name, status: await ended(guest), output: guest.output() })),
    );
    assert.deepEqual(
      results.filter(({ status }) => status !== 0),
      [],
    );
    const report = /^calls (\d+) longest-ms (\d+) fds-lost (\d+)$/m;
    const numbers = results.map(({ output }) => (report.exec(output) ?? []).slice(1).map(Number));
    const column = (index: number): number[] => numbers.map((each) => each[index] ?? Number.NaN);
    const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b);
    const longest = Math.max(...column(1));
    t.diagnostic(`${sum(column(0))} calls, the longest took ${longest} ms, ${sum(column(2))} fds were lost`);
    assert.ok(longest < LONGEST_CALL, `a call took ${longest} ms`);
    // One whose number an agent could not note before it died: at most one a kill.
    assert.ok(sum(column(2)) <= KILLS);
  });
});
