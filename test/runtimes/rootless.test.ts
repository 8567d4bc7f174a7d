/** Rootless podman: users without any right on the host, whose containers create by BPF token. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { before, describe, test } from 'node:test';
import { bpftoolPackages, tarOf } from '../../tools/debian-tar.js';
import { Daemon } from '../support/daemons.js';
import { lacking } from '../support/features.js';
import {
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  listed,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { byToken, delegation } from '../support/token.js';
import { userTable } from '../support/users.js';
import { imageName, makeImage, makeRoot } from './support/root-file-system.js';
import { RootlessUsers } from './support/rootless.js';

const ANN = 54331;
const BOB = 54332;
/** What root allows to both; the containers get this, or less. */
const ALLOWED = 'cmds=map_create:prog_load:btf_load,maps=array,progs=socket_filter:xdp:sched_cls,attachs=any';
const debianImage = 'localhost/bpfns-debian:1';

const configuration = [ANN, BOB].map((uid) => userTable(uid, 3, ALLOWED)).join('');

const why = skipReason || lacking('BPF token');

describe('rootless podman', { skip: why }, () => {
  let daemon: Daemon | undefined;
  let users: RootlessUsers | undefined;
  const directory = mkdtempSync(`${tmpdir()}/bpfns-rootless-test-`);
  leavesNothingBehind(async () => {
    await users?.close();
    await daemon?.end();
    rmSync(directory, { recursive: true });
  });
  const made = (): RootlessUsers => {
    assert.ok(users);
    return users;
  };

  before(async () => {
    daemon = await Daemon.configured(configuration);
    users = await RootlessUsers.make([ANN, BOB]);
    mkdirSync(`${directory}/root`);
    makeRoot(`${directory}/root`);
    copyFileSync(guestPath('token'), `${directory}/root/bin/token`);
    makeImage(`${directory}/root`, `${users.directory}/image.tar`);
    copyFileSync(tarOf('trixie', bpftoolPackages, 'extract'), `${users.directory}/debian.tar`);
    copyFileSync(guestPath('xdp.bpf.o'), `${users.directory}/xdp.o`);
    for (const uid of [ANN, BOB]) {
      const listener = `${runDir}-users/${uid}/seccomp.sock`;
      assert.equal(bpfns(['profile', '--listener', listener, '--output', `${users.directory}/${uid}.json`]).status, 0);
      users.mustRun(uid, 'load', '--quiet', '--input', `${users.directory}/image.tar`);
      mountFor(uid, delegation, 'less');
    }
    users.mustRun(ANN, 'import', '--quiet', `${users.directory}/debian.tar`, debianImage);
    mountFor(ANN, ALLOWED, 'all');
  });

  /** Makes the bpffs for containers, in podman's user namespace, as the manual has it. */
  function mountFor(uid: number, what: string, name: string): void {
    const place = `${made().home(uid)}/${name}`;
    made().mustRun(uid, 'unshare', 'mkdir', place);
    made().mustRun(uid, 'unshare', bpfnsPath, 'bpffs', '--delegate', what, place);
  }

  /** The options of `podman run`. */
  function options(uid: number, bpffs = 'less'): string[] {
    return [
      ...['--rm', '--network=none', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'],
      ...['--security-opt', `seccomp=${made().directory}/${uid}.json`, '--cap-drop=all', '--cap-add=bpf,net_admin'],
      ...['--volume', `${made().home(uid)}/${bpffs}:/sys/fs/bpf`],
    ];
  }

  /** A container with one map, which lists the maps of its namespace when asked. */
  const holdMap = (uid: number, ...more: readonly string[]): ReturnType<typeof start> =>
    start(made().podman(uid, 'run', '--interactive', ...options(uid), ...more, imageName, 'token', 'hold'));

  test('creates by token what is delegated, and lists it as id 1; the rest is EPERM', () => {
    const { stdout, stderr } = made().podmanRun(ANN, ...options(ANN), imageName, 'token');
    assert.equal(stdout.slice(0, byToken.length), byToken, stderr);
  });

  test('creates nothing without the bpffs', () => {
    const without = options(ANN).slice(0, -2);
    const { stdout } = made().podmanRun(ANN, ...without, imageName, 'token');
    assert.match(stdout, /^token errno [1-9]\d*\nmap without token errno 1\narray by token errno 77 /);
    assert.match(stdout, /^maps: errno 2$/m);
  });

  test("runs Debian 13's bpftool, which finds the token by itself", () => {
    writeFileSync(`${made().directory}/batch`, 'prog loadall /x/xdp.o /sys/fs/bpf/ann\nprog show\n');
    const bpftool = [debianImage, 'bpftool', 'batch', 'file', '/x/batch'];
    const files = ['--volume', `${made().directory}:/x:ro`];
    const allowed = made().podmanRun(ANN, ...options(ANN, 'all'), ...files, ...bpftool);
    const types = [...allowed.stdout.matchAll(/^[1-9]: (\w+) /gm)].map(([, type]) => type);
    assert.deepEqual(new Set(types), new Set(['sched_cls', 'xdp']), allowed.stdout + allowed.stderr);
    const refused = made().podmanRun(ANN, ...options(ANN), ...files, ...bpftool);
    assert.match(refused.stderr, /Operation not permitted/);
  });

  test("has nothing delegated by a profile of the user's own", async () => {
    const own = `${made().home(ANN)}/own.json`;
    const listener = `${runDir}-users/${ANN}/seccomp.sock`;
    bpfns(['profile', '--delegate', 'any', '--listener', listener, '--output', own]);
    run(['chmod', '644', own]);
    const without = ['--rm', '--network=none', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'];
    const { stdout } = made().podmanRun(ANN, ...without, '--security-opt', `seccomp=${own}`, imageName, 'token');
    assert.match(stdout, /^maps: errno 38$/m);
    await until(() => /uid 54331: container \w+: delegate_\* needs root/.test(daemon?.log ?? ''), 'nothing is logged');
  });

  test("sees nothing of another user's container, and the host sees both", async () => {
    const ann = await holdMap(ANN);
    const bob = await holdMap(BOB);
    assert.deepEqual(await ann.ask('list'), ['maps: 1 errno 2']);
    assert.deepEqual(await bob.ask('list'), ['maps: 1 errno 2']);
    const [ofAnn] = listed('map', `user-${ANN}`);
    const [ofBob] = listed('map', `user-${BOB}`);
    assert.ok(ofAnn && ofBob && ofAnn.hostId !== ofBob.hostId);
    assert.deepEqual(await bob.ask(`open ${ofAnn.hostId}`), ['open errno 2']);
    await ann.end();
    await bob.end();
  });
});
