/** tracing=own: random programs neither end the agent nor are they loaded without the scope check. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { keepsOneAgent } from '../support/agent.js';
import { bpfns, guestPath, leavesNothingBehind, skipReason } from '../support/host.js';
import { limit } from '../support/slowness.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

/** BPFNS_FUZZ_SECONDS=60 tries more. */
const SECONDS = Number(process.env.BPFNS_FUZZ_SECONDS ?? 3);

describe('tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('on one agent', () => {
    const agent = keepsOneAgent();

    test(`random programs for ${SECONDS} s`, { timeout: limit((SECONDS + 150) * 1000) }, (t) => {
      const pid = agent.pid();
      const fuzz = [guestPath('fuzz-load'), String(SECONDS), String(Date.now() % 1_000_000)];
      const { stdout } = bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, ...fuzz], {
        timeoutSeconds: SECONDS + 120,
      });
      t.diagnostic(`seed ${fuzz[2]}: ${stdout}`);
      const [, loaded, bare] = /^tried \d+ loaded (\d+) bare (\d+)$/m.exec(stdout) ?? [];
      assert.ok(Number(loaded) > 0);
      assert.equal(Number(bare), 0);
      assert.equal(agent.pid(), pid);
      assert.equal(agent.log(), '');
    });
  });
});
