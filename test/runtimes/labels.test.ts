/** The names of pods and containers from the engine's annotations appear in all output of bpfns. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import {
  agentsOf,
  bpfns,
  leavesNothingBehind,
  listed as listedOnHost,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { type Events, eventsFromNow, getMetrics } from '../support/watching.js';
import { create } from './support/bpftool.js';
import { criPod } from './support/cri.js';
import { type Container, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind, workDir } from './support/machine.js';
import { writeProfile } from './support/profile.js';

describe('a container that a kubelet would start', { skip: skipReason }, () => {
  leavesNothingBehind();
  leavesNoContainersBehind();

  describe('is called by its names', () => {
    const metrics = `${workDir}/metrics.sock`;
    let daemon: Daemon;
    let events: Events;
    let container: Container;
    let isGone = false;
    const about = (wanted: string): Array<Readonly<Record<string, unknown>>> =>
      events.seen().filter(({ event }) => event === wanted);
    const fields = ({ pod, podNamespace, name }: Readonly<Record<string, unknown>>): unknown[] => [
      podNamespace,
      pod,
      name,
    ];

    before(async () => {
      daemon = await Daemon.configured(`[metrics]\nlisten = "unix:${metrics}"\n`);
      events = await eventsFromNow();
      await criPod.open();
      const profile = writeProfile('labels');
      container = await criPod.start({ label: 'named', profile, script: create('labelled') });
      await scriptOutput(container);
    });
    after(async () => {
      events.stop();
      if (!isGone) await container?.remove();
      await criPod.close();
      await daemon.stop();
    });

    test('in `bpfns ls`', () => {
      const [title = '', ...rows] = bpfns(['ls']).stdout.trimEnd().split('\n');
      assert.match(title, / CONTAINER$/);
      assert.ok(rows.some((row) => / default\/[^/ ]+\/named$/.test(row)));
      const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
      const labels = namespaces.find(({ name }: { name: string }) => name === container.id)?.containers;
      assert.deepEqual([labels.length, labels[0].id, labels[0].container], [1, container.id, 'named']);
    });

    test('in `bpfns who`', () => {
      const [map] = listedOnHost('map', container.id);
      assert.match(bpfns(['who', 'map', String(map?.hostId)]).stdout, /^ {2}container {5}.* default\/[^/ ]+\/named$/m);
    });

    test('in the labels of the metrics', async () => {
      assert.match(
        await getMetrics(metrics),
        /^bpfns_objects{kind="map",namespace="[^"]*",pod="[^"]+",pod_namespace="default",container="named"} 1$/m,
      );
    });

    test('also after the agent was killed: nobody tells the next one', async () => {
      const agent = agentsOf(runDir ?? '')[0];
      process.kill(Number(agent), 'SIGKILL');
      await until(() => ![undefined, agent].includes(agentsOf(runDir ?? '')[0]), 'no agent has come back');
      assert.match(bpfns(['ls']).stdout, / default\/[^/ ]+\/named$/m);
      const isNamed = /pod_namespace="default",container="named"} 1$/m;
      await until(async () => isNamed.test(await getMetrics(metrics).catch(String)), 'no metric has its name');
      // Again from the beginning: what happens until the follower is back is not told.
      await until(() => {
        bpfns(['create', 'again']);
        bpfns(['rm', 'again']);
        return about('namespace-created').some(({ path }) => path === 'again');
      }, 'no event has come');
    });

    test('in the events: when it joins, and when it leaves', async () => {
      await until(() => about('container-joined').length > 0, 'it has not joined');
      const [joined] = about('container-joined');
      assert.equal(joined?.container, container.id);
      isGone = true;
      await container.remove();
      await until(() => about('container-left').length > 0, 'it has not left');
      const [left] = about('container-left');
      assert.deepEqual([left?.container, ...fields(left ?? {})], [container.id, ...fields(joined ?? {})]);
      assert.deepEqual([joined?.podNamespace, joined?.name], ['default', 'named']);
    });
  });
});
