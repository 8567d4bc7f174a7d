/** The programs of examples/, run as their comments say. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { Daemon } from '../support/daemons.js';
import { asContainerUser, bpfns, leavesNothingBehind, root, run, skipReason } from '../support/host.js';
import { isSlow } from '../support/slowness.js';
import { command, mustRun } from './support/command.js';
import { cri } from './support/cri.js';
import { scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind } from './support/machine.js';
import { podmanAlone, podmanCommand, podmanOptions } from './support/podman.js';
import { listenerPath, writeProfile } from './support/profile.js';
import { imageName, pinMount } from './support/root-file-system.js';

const noCompiler = isSlow && 'the machines of make test-vm have no compiler';

describe('examples/list-maps.c', { skip: skipReason || noCompiler }, () => {
  leavesNothingBehind();
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'bpfns-example-'));
    run(['chmod', '755', directory]);
    const { status, stderr } = run([
      ...['cc', '-Wall', '-Wextra', '-Werror', '-o', `${directory}/list-maps`],
      `${root}examples/list-maps.c`,
    ]);
    assert.equal(status, 0, stderr);
  });
  after(() => rmSync(directory, { recursive: true }));

  test('lists its own map as number 1, and nothing else, in a namespace', () => {
    const { status, stdout, stderr } = bpfns(['run', '--', ...asContainerUser, `${directory}/list-maps`]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'map 1: example\n');
  });

  test('fails with the same capabilities outside', () => {
    const { status, stderr } = run([...asContainerUser, `${directory}/list-maps`]);
    assert.equal(status, 1);
    assert.match(stderr, /listing maps .*Operation not permitted/);
  });
});

describe('examples/container.sh', { skip: skipReason }, () => {
  leavesNothingBehind();
  leavesNoContainersBehind();

  describe('with the daemon', () => {
    let daemon: Daemon;
    before(async () => {
      daemon = await Daemon.configured('');
      await podmanAlone.open();
    });
    after(async () => {
      await podmanAlone.close();
      await daemon.stop();
    });

    test('runs bpftool in a namespace that has no objects yet', async () => {
      const inPath = `PATH=${root}bin:${process.env.PATH}`;
      const podman = `PODMAN=${podmanCommand.join(' ')}`;
      const words = [`${root}examples/container.sh`, ...podmanOptions, imageName, 'bpftool', '-j', 'map', 'list'];
      assert.equal((await mustRun(['env', inPath, podman, ...words])).trim(), '[]');
    });

    test('says how it is used', async () => {
      const { status, stderr } = await command([`${root}examples/container.sh`]);
      assert.equal(status, 2);
      assert.match(stderr, /^usage: /);
    });
  });
});

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly containers: readonly [
      {
        readonly command: readonly [string, string, string];
        readonly securityContext: {
          readonly capabilities: object;
          readonly seccompProfile: { readonly localhostProfile: string };
        };
        readonly volumeMounts: readonly [{ readonly mountPath: string }];
      },
    ];
  };
}

describe('examples/pod.yaml', { skip: skipReason }, () => {
  leavesNothingBehind();
  leavesNoContainersBehind();

  describe('through the socket that a kubelet uses', () => {
    const { metadata, spec } = parse(readFileSync(`${root}examples/pod.yaml`, 'utf8')) as Pod;
    const [{ command, securityContext, volumeMounts }] = spec.containers;
    let daemon: Daemon;
    before(async () => {
      daemon = await Daemon.configured('');
      await cri.open();
    });
    after(async () => {
      await cri.close();
      await daemon.stop();
    });

    test('its container makes a map and lists it, as number 1, and nothing else', async () => {
      assert.deepEqual(securityContext.capabilities, { drop: ['ALL'], add: ['BPF', 'PERFMON', 'NET_ADMIN'] });
      assert.equal(volumeMounts[0].mountPath, pinMount);
      const { localhostProfile } = securityContext.seccompProfile;
      const profile = writeProfile(localhostProfile.replace('.json', ''), ['--listener', listenerPath]);
      const [, , script] = command;
      const container = await cri.start({ label: metadata.name, profile, script });
      try {
        const { status, text } = await scriptOutput(container);
        assert.equal(status, 0, text);
        assert.match(text, /^1: hash {2}name counts /);
        assert.equal(text.match(/^\d+: /gm)?.length, 1, text);
      } finally {
        await container.remove();
      }
    });
  });
});
