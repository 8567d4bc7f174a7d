/** An agent that is killed all the time, and guests that must not notice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allRight, startGuest } from '../support/crash-guests.js';
import { agentsOf, bpfns, leavesNothingBehind, runDir, skipReason, until } from '../support/host.js';
import { limit, times } from '../support/slowness.js';

const KILLS = times(200);
const SECONDS = 140;
/** Guests go on for longer, as they start one after the other. */
const START_SECONDS = 20 + limit(4);
/** How long a call may take, in ms: a start of the agent, and what a few kills in a row add. */
const LONGEST_CALL = limit(5000);

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
    const guests = roles.map((role: string, i) => startGuest(`${role}${i}`, role, SECONDS + START_SECONDS));
    t.after(() => {
      for (const { process } of guests) process.kill();
      bpfns(['rm', 'kept']);
    });
    const atTop = (): Listed[] => namespaces().filter(({ level }) => level === 1);
    await until(() => atTop().length === guests.length + 1, 'the guests have not started', 60);
    const before = atTop();
    await killAgents(KILLS, SECONDS);
    await until(() => agent() !== 0, 'no agent has come back');
    assert.deepEqual(
      atTop().map(({ id, name }) => [id, name]),
      before.map(({ id, name }) => [id, name]),
    );

    const { calls, longest, fdsLost } = await allRight(guests);
    t.diagnostic(`${calls} calls, the longest took ${longest} ms, ${fdsLost} fds were lost`);
    assert.ok(longest < LONGEST_CALL, `a call took ${longest} ms`);
    // One whose number an agent could not note before it died: at most one a kill.
    assert.ok(fdsLost <= KILLS);
  });
});
