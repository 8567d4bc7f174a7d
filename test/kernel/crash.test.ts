/** The agent is killed again and again, and guests must not notice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agentServes, allRight, allRunning, HANG, startGuest } from '../support/crash-guests.js';
import { agentsOf, bpfns, leavesNothingBehind, runDir, skipReason, until } from '../support/host.js';
import { limit, times } from '../support/slowness.js';

const KILLS = times(200);
/** The average time between two kills, in ms, where agents start faster than that. */
const LIFE = limit(400);
/** The same where they do not: each has to live longer than it takes to start, or few would ever serve. */
const LONGEST_LIFE = 3 * LIFE;
/**
 * After this many kills, one waits until the agent serves. Where its start is slow, every agent
 * would die too early otherwise.
 */
const MEETS_SERVICE = 3;

const agent = (): number => Number(agentsOf(runDir ?? '')[0] ?? 0);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Listed {
  readonly id: number;
  readonly name: string;
  readonly level: number;
}
const namespaces = (): Listed[] => JSON.parse(bpfns(['ls', '--json']).stdout).namespaces;

/** Kills agents, each once, at random moments, including their start. */
async function killAgents(): Promise<void> {
  let [last, life] = [0, LIFE];
  let killed = Date.now();
  const hasCome = (): boolean => ![0, last].includes(agent());
  for (let kill = 0; kill < KILLS; kill++) {
    await until(hasCome, 'no agent has come back', 120);
    if (kill % MEETS_SERVICE === 0) {
      await agentServes();
      life = Math.min(Math.max(LIFE, Date.now() - killed), LONGEST_LIFE);
    }
    await pause(Math.random() * 2 * life);
    last = agent();
    assert.notEqual(last, 0, 'the agent has ended by itself');
    process.kill(last, 'SIGKILL');
    killed = Date.now();
  }
}

describe('kill -9 of the agent', { skip: skipReason }, () => {
  leavesNothingBehind();

  test(`${KILLS} times: 20 guests that list and 6 that create get every answer, and get it right`, async (t) => {
    assert.equal(bpfns(['create', 'kept']).status, 0);
    const roles = [...Array(20).fill('list'), ...Array(4).fill('create'), ...Array(2).fill('nest')];
    const guests = roles.map((role: string, i) => startGuest(`${role}${i}`, role));
    t.after(() => {
      for (const { process } of guests) process.kill();
      bpfns(['rm', 'kept']);
    });
    const atTop = (): Listed[] => namespaces().filter(({ level }) => level === 1);
    await until(() => atTop().length === guests.length + 1, 'the guests have not started', 120);
    const before = atTop();
    await killAgents();
    await agentServes();
    allRunning(guests);
    assert.deepEqual(
      atTop().map(({ id, name }) => [id, name]),
      before.map(({ id, name }) => [id, name]),
    );

    const { calls, longest, fdsLost } = await allRight(guests);
    t.diagnostic(`${calls} calls, the longest took ${longest} ms, ${fdsLost} fds were lost`);
    assert.ok(longest < HANG, `a call took ${longest} ms`);
    // An fd whose number an agent could not record before it died: at most one per kill.
    assert.ok(fdsLost <= KILLS);
  });
});
