/** Containers of one pod can share a namespace: by the profile, or by an annotation. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { leavesNothingBehind, namespaceNames, skipReason } from '../support/host.js';
import { create, listed } from './support/bpftool.js';
import { criPod } from './support/cri.js';
import { type Container, type Engine, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { podmanPod } from './support/podman.js';
import { writeProfile } from './support/profile.js';

interface Way {
  readonly engine: Engine;
  readonly by: string;
  readonly metadata: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}
const ways: readonly Way[] = [
  { engine: podmanPod, by: "the profile's metadata", metadata: ['--metadata', 'share=pod'], annotations: {} },
  { engine: podmanPod, by: 'an annotation', metadata: [], annotations: { 'bpfns.io/share': 'pod' } },
  { engine: criPod, by: "the profile's metadata", metadata: ['--metadata', 'share=pod'], annotations: {} },
  { engine: criPod, by: 'an annotation', metadata: [], annotations: { 'bpfns.io/share': 'pod' } },
];

for (const { engine, by, metadata, annotations } of ways) {
  describe(`${engine.name}, shared by ${by}`, { skip: skipReason }, () => {
    leavesNothingBehind();
    leavesNoContainersBehind();

    describe('two containers of it', () => {
      let daemon: Daemon;
      let first: Container;
      let second: Container;
      before(async () => {
        daemon = await Daemon.configured('');
        await engine.open();
        const profile = writeProfile('pod', metadata);
        first = await engine.start({ label: 'one', profile, annotations, script: create('of_one') });
        await scriptOutput(first);
        second = await engine.start({ label: 'two', profile, annotations, script: create('of_two') });
        await scriptOutput(second);
      });
      after(async () => {
        await first?.remove();
        await second?.remove();
        await engine.close();
        await daemon.stop();
      });

      test('see the objects of both by the same ids', async () => {
        const both = [
          [1, 'of_one'],
          [2, 'of_two'],
        ];
        assert.deepEqual(await listed(first), both);
        assert.deepEqual(await listed(second), both);
      });

      test('have one namespace, with the name of neither', () => {
        const [init, name = '', ...others] = namespaceNames();
        assert.deepEqual([init, others], ['init', []]);
        assert.ok(![first.id, second.id].includes(name));
      });
    });
  });
}
