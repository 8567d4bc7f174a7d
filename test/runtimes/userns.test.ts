/** Containers of root with user namespaces of their own: bpfns mounts a bpffs with delegation into them. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { lacking } from '../support/features.js';
import {
  agentsOf,
  guestPath,
  leavesNothingBehind,
  type Outcome,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { byToken, delegation } from '../support/token.js';
import { command, mustRun } from './support/command.js';
import { imageTar, leavesNoContainersBehind, rootDir, workDir } from './support/machine.js';
import { podmanAlone, podmanCommand, podmanOptions } from './support/podman.js';
import { writeProfile } from './support/profile.js';
import { imageName, makeImage } from './support/root-file-system.js';

const mapped = ['--uidmap=0:1000000:65536', '--gidmap=0:1000000:65536'];

const refused = /^token errno [1-9]\d*\nmap without token errno 1\narray by token errno 77 id -1\n/;

/** In place of the one that the agent starts its helper with: it waits for a file, once there is another. */
const slowNsenter = `#!/bin/sh
while [ -e ${workDir}/wait ]; do sleep 0.1; done
exec /usr/bin/nsenter "$@"
`;

describe('a container in a user namespace of its own', { skip: skipReason || lacking('BPF token') }, () => {
  leavesNothingBehind();
  leavesNoContainersBehind();

  describe('by podman', () => {
    let daemon: Daemon;
    let profile: string;
    before(async () => {
      mkdirSync(`${workDir}/bin`);
      writeFileSync(`${workDir}/bin/nsenter`, slowNsenter, { mode: 0o755 });
      const { PATH = '' } = process.env;
      process.env.PATH = `${workDir}/bin:${PATH}`;
      daemon = new Daemon();
      process.env.PATH = PATH;
      await daemon.ready();
      copyFileSync(guestPath('token'), `${rootDir}/bin/token`);
      makeImage(rootDir, imageTar);
      await podmanAlone.open();
      profile = writeProfile('delegating', ['--delegate', delegation]);
    });
    after(async () => {
      await podmanAlone.close();
      await daemon.stop();
    });

    const words = (path: string, ...more: readonly string[]): string[] => [
      ...[...podmanCommand, 'run', '--rm', ...podmanOptions, '--security-opt', `seccomp=${path}`],
      ...['--cap-drop=all', '--cap-add=bpf,net_admin', ...more, imageName],
    ];
    const token = (path: string, ...more: readonly string[]): Promise<Outcome> =>
      command([...words(path, ...more), 'token']);

    test('creates by token what the metadata names, as its first program', async () => {
      const { stdout, stderr } = await token(profile, ...mapped);
      assert.equal(stdout.slice(0, byToken.length), byToken, stderr);
    });

    test('does so without new privileges too, where the listener comes last', async () => {
      const { stdout, stderr } = await token(profile, ...mapped, '--security-opt', 'no-new-privileges');
      assert.equal(stdout.slice(0, byToken.length), byToken, stderr);
    });

    test('has one bpffs, also for the processes that are executed in it', async () => {
      const name = `bpfns-userns-${process.pid}`;
      const guest = await start([...words(profile, '--interactive', '--name', name, ...mapped), 'token', 'hold']);
      const look = ['/bin/grep', '-c', 'delegate_cmds=map_create:prog_load', '/proc/self/mountinfo'];
      for (let i = 0; i < 2; i++) assert.equal(await mustRun([...podmanCommand, 'exec', name, ...look]), '1\n');
      assert.deepEqual(await guest.ask('list'), ['maps: 1 errno 2']);
      await guest.end();
    });

    test('has none without the metadata, and none in the initial user namespace', async () => {
      assert.match((await token(writeProfile('plain'), ...mapped)).stdout, refused);
      const initial = await command([...words(profile), 'grep', '-c', 'delegate', '/proc/self/mountinfo']);
      assert.equal(initial.stdout, '0\n');
    });

    test('runs without one if the kernel refuses, and the log says why', async () => {
      const { stdout } = await token(writeProfile('wrong', ['--delegate', 'cmds=no_such_command']), ...mapped);
      assert.match(stdout, refused);
      assert.match(daemon.log, /refused: container \w+: the kernel refuses cmds=no_such_command: /);
    });

    test('goes on if the agent dies while the bpffs is made', async () => {
      writeFileSync(`${workDir}/wait`, '');
      const container = token(profile, ...mapped);
      const joined = (): number => daemon.log.split('container joined').length;
      const before = joined();
      await until(() => joined() > before, 'the container has not joined');
      const [agent] = agentsOf(runDir ?? '');
      process.kill(Number(agent), 'SIGKILL');
      await mustRun(['rm', `${workDir}/wait`]);
      const { status, stdout } = await container;
      assert.equal(status, 0);
      assert.match(stdout, refused);
    });
  });
});
