/**
 * Repeated work leaves nothing in the agent. In CI each call is repeated often enough to notice a
 * few dozen lost bytes; `make soak` repeats them as often as a busy machine does in a day.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { keepsOneAgent } from '../support/agent.js';
import { guestPath, leavesNothingBehind, skipReason, startInNamespace } from '../support/host.js';
import { times } from '../support/slowness.js';

/** The calls of test/guests/soak.c, and how often CI makes them. */
const calls = {
  create: 300_000,
  'next-id': 4_000,
  'by-id': 4_000,
  'no-such-id': 4_000,
  'map-info': 4_000,
  'prog-info': 4_000,
  'obj-get': 4_000,
  'no-such-pin': 2_000,
  'prog-query': 4_000,
  'task-fd-query': 4_000,
  'iter-create': 4_000,
  'refused-clone3': 4_000,
  'failed-clone3': 200,
  'plain-clone3': 400,
  'child-namespace': 200,
} as const;
const isSoak = process.env.BPFNS_SOAK === '1';
const SOAK = { create: 2_000_000, others: 200_000 };
/** In MiB. This includes JavaScript buffers that are not collected yet. 100 bytes per creation would be more. */
const MOST_NATIVE = isSoak ? 5 : 16;
/** In MiB, the lowest value: in between, garbage grows and is collected. */
const MOST_RESIDENT = 5;
/** Compares the last three quarters with the first. */
const QUARTER = isSoak ? 10 : 1;

type Call = keyof typeof calls;

const others = (Object.keys(calls) as Call[]).filter((what) => what !== 'create');
/** What is repeated together: in CI everything but creations, as each look at the agent takes a second. */
const groups: ReadonlyArray<readonly [title: string, group: readonly Call[]]> = isSoak
  ? others.map((what) => [`${SOAK.others} times ${what}`, [what]])
  : [['thousands of each other call', others]];

function countOf(what: Call): number {
  if (!isSoak) return times(calls[what]);
  return what === 'create' ? SOAK.create : SOAK.others;
}

describe('memory of the agent', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('of one agent', () => {
    const agent = keepsOneAgent();

    for (const [title, group] of [[`${countOf('create')} creations`, ['create']] as const, ...groups]) {
      test(`does not grow with ${title}`, async () => {
        const guest = await startInNamespace(guestPath('soak'));
        const repeat = async (quarters: number): Promise<number[]> => {
          const resident: number[] = [];
          for (let i = 0; i < quarters * QUARTER; i++) {
            for (const what of group) {
              assert.deepEqual(await guest.ask(`${what} ${Math.ceil(countOf(what) / QUARTER / 4)}`, 'done'), []);
            }
            resident.push(agent.residentMiB());
          }
          return resident;
        };
        const pid = agent.pid();
        // What is created only once (compiled code, threads, buffers) exists by then.
        const early = await repeat(1);
        const [native, fds] = [agent.nativeMiB(), await agent.fds()];
        const late = await repeat(3);

        assert.ok(agent.nativeMiB() - native < MOST_NATIVE, `${native} MiB, then ${agent.nativeMiB()}`);
        assert.ok((await agent.fds()) <= fds, readdirSync(`/proc/${pid}/fd`).join(' '));
        if (isSoak) {
          const growth = Math.min(...late.slice(-QUARTER)) - Math.min(...early);
          assert.ok(growth < MOST_RESIDENT, `${growth} MiB more: ${[...early, ...late].join(' ')}`);
        }
        assert.equal(agent.pid(), pid);
        await guest.end();
      });
    }
  });
});
