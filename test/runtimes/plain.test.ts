/** The engines without bpfns: the basis of the other tests, and what bpfns changes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason } from '../support/host.js';
import { type Container, scriptOutput } from './support/engine.js';
import { engines } from './support/engines.js';
import { leavesNoContainersBehind } from './support/machine.js';

for (const engine of engines) {
  describe(`${engine.name} without bpfns`, { skip: skipReason }, () => {
    leavesNoContainersBehind();

    describe('a container', () => {
      let container: Container | undefined;
      before(async () => {
        await engine.open();
        container = await engine.start({ label: 'plain', script: 'grep CapEff /proc/self/status' });
      });
      after(async () => {
        await container?.remove();
        await engine.close();
      });

      test('has CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and nothing else', async () => {
        assert.ok(container);
        assert.deepEqual(await scriptOutput(container), { text: 'CapEff:\t000000c000001000\n', status: 0 });
      });

      test('may not list anything with bpftool', async () => {
        const { status, stderr } = (await container?.exec(['/bin/bpftool', 'map', 'list'])) ?? {};
        assert.notEqual(status, 0);
        assert.match(stderr ?? '', /Operation not permitted/);
      });
    });
  });
}
