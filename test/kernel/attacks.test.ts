/** What a hostile guest might try, one attack each: it gets what it would natively, or nothing. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { keepsOneAgent } from '../support/agent.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  pinDirectory,
  run,
  skipReason,
  start,
  startInNamespace,
} from '../support/host.js';

const attacks = guestPath('attacks');
const CREATE = 'type array key 4 value 4 entries 1';

/** A pin of root's that anybody may open, beside a directory of the guest's. */
function foreignPin(name: string): string {
  const directory = `${pinDirectory()}/${name}`;
  mkdirSync(directory, { recursive: true });
  run(['bpftool', 'map', 'create', `${directory}/pin`, ...CREATE.split(' '), 'name', 'foreign']);
  run(['chmod', '-R', 'a+rwx', directory]);
  return `${directory}/pin`;
}

/** The output of a guest in a namespace of its own, as the container user. */
function attack(script: string): string {
  const { stdout, stderr } = inNamespace(script);
  assert.equal(stderr, '');
  return stdout;
}

describe('attacks', { skip: skipReason }, () => {
  leavesNothingBehind();
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'bpfns-attacks-'));
    chmodSync(directory, 0o755);
  });
  after(() => {
    rmSync(directory, { recursive: true });
  });

  describe('on one agent', () => {
    keepsOneAgent();

    test('attrs at the edge of a page give the errors that they give natively', () => {
      const inside = bpfns(['run', '--', attacks, 'edge']).stdout;
      assert.match(inside, /EFAULT/);
      assert.equal(inside, run([attacks, 'edge']).stdout);
    });

    test('an attr that userfaultfd never fills is EFAULT, and holds up nobody', () => {
      assert.equal(attack(`${attacks} userfault`), 'EFAULT\n');
    });

    test("a filter of the guest's own above ours: its errors and kills come first, a trace does not", () => {
      assert.equal(attack(`${attacks} stacked errno`), 'EXDEV\nthe parent: ok\n');
      assert.equal(attack(`${attacks} stacked trace`), 'ok\nthe parent: ok\n');
      assert.equal(attack(`${attacks} stacked kill`), 'SYS\nthe parent: ok\n');
    });

    test('no listener of its own comes above ours, and calls that nobody else answers fail', () => {
      assert.equal(attack(`${attacks} listener`), 'listener: EBUSY\nfilter: ok\nlisted: ENOSYS\n');
    });

    test('a caller stopped and traced in mid-call gets all of its answers', () => {
      assert.equal(attack(`${attacks} stop 60`), 'stops some, status 0\n');
    });

    test('a map made in a child namespace belongs there, whoever shares the table of fds', () => {
      assert.equal(attack(`${attacks} files`), "first 1, the child's 2\n");
    });

    test('dup2 and close over what eight threads create do not make a foreign map theirs', () => {
      const foreign = foreignPin('dup');
      // Opened outside, and handed in.
      const script = `exec 9<>/dev/null; exec ${bpfnsPath} run -- ${asContainerUser.join(' ')} ${attacks} dup $FD`;
      const { stdout, stderr } = run([guestPath('with-pin'), foreign, 'FD', 'sh', '-ec', script]);
      assert.deepEqual([stdout, stderr], ['id of the foreign map: 0\n', '']);
    });

    test('a link exchanged while its pin is looked up never opens a foreign one', () => {
      const foreign = foreignPin('link');
      const script = `bpftool map create $P/own ${CREATE} name own; ${attacks} link $P/own ${foreign} $P/swap; rm $P/own`;
      assert.equal(attack(script), 'opened some, refused some, leaked 0\n');
    });

    test('a directory changed by another thread meanwhile never opens a foreign one', () => {
      const foreign = foreignPin('cwd').replace(/\/pin$/, '');
      const script = `mkdir $P/mine; bpftool map create $P/mine/pin ${CREATE} name own
        ${attacks} chdir $P/mine ${foreign}; rm -r $P/mine`;
      assert.equal(attack(script), 'opened some, refused some, leaked 0\n');
    });

    test('a root changed by another thread meanwhile never opens a foreign one', () => {
      const foreign = foreignPin('root').replace(/\/pin$/, '');
      const script = `mkdir $P/mine; bpftool map create $P/mine/pin ${CREATE} name own
        ${attacks} chroot $P/mine ${foreign}; rm -r $P/mine`;
      const { stdout, stderr } = bpfns(['run', '--', 'sh', '-ec', script], { env: { P: pinDirectory() } });
      assert.deepEqual([stdout, stderr], ['opened some, refused some, leaked 0\n', '']);
    });

    for (const [what, how, places] of [
      ['a mount that comes and goes', 'mount', '$P/mine $F $P/place'],
      ['the root of a mount namespace that is exchanged', 'pivot', '$P/mine $F'],
    ] as const) {
      test(`${what} meanwhile, in a user namespace of the guest's, never opens a foreign one`, () => {
        const F = foreignPin(how).replace(/\/pin$/, '');
        mkdirSync(`${F}/old`);
        const script = `mkdir -p $P/mine/old $P/place; bpftool map create $P/mine/pin ${CREATE} name own
          unshare -U -r -m ${attacks} ${how} ${places}; rm -r $P/mine $P/place`;
        const { stdout, stderr } = inNamespace(script, { env: { F } });
        assert.deepEqual([stdout, stderr], ['opened some, refused some, leaked 0\n', '']);
      });
    }

    test('a pin that two namespaces can reach opens in its own only', async () => {
      const guest = await startInNamespace(
        `bpftool map create $P/shared ${CREATE} name own; echo ready; read -r _ || true`,
      );
      assert.match(inNamespace('bpftool map show pinned $P/shared').stderr, /Operation not permitted/);
      await guest.end();
      run(['rm', `${pinDirectory()}/shared`]);
    });

    test("a fd taken from another guest's process works, and has no id", async () => {
      // Both have the same user and capabilities, so that the kernel allows it.
      const guest = await start([
        guestPath('with-pin'),
        foreignPin('take'),
        'FD',
        bpfnsPath,
        'run',
        '--',
        'sh',
        '-ec',
        'echo $$ $FD; echo ready; read -r _ || true',
      ]);
      const [pid = '', fd = ''] = guest.output().split(/\s/);
      assert.equal(bpfns(['run', '--', attacks, 'take', pid, fd]).stdout, 'ok, id 0, by id ENOENT\n');
      await guest.end();
    });

    test('supplementary groups count for a pin as they do natively', () => {
      const script = (groups: string): string =>
        `exec setpriv ${groups} ${asContainerUser
          .slice(1)
          .filter((each) => each !== '--clear-groups')
          .join(' ')} \
          sh -c 'bpftool map show pinned $P/group/pin >/dev/null 2>&1 && echo opened || echo refused'`;
      const make = `mkdir $P/group; bpftool map create $P/group/pin ${CREATE} name own; chgrp -R 4321 $P/group
        chmod 070 $P/group; chmod 060 $P/group/pin`;
      const both = `(${script('--groups 4321')}); (${script('--clear-groups')}); rm -r $P/group`;
      const { stdout } = bpfns(['run', '--', 'sh', '-ec', `${make}; ${both}`], { env: { P: pinDirectory() } });
      assert.equal(stdout, 'opened\nrefused\n');
    });

    test('a set-user-id program stays in the namespace, with no more ids than before', () => {
      const copy = join(directory, 'set-user-id');
      copyFileSync(attacks, copy);
      chmodSync(copy, 0o4755);
      assert.equal(attack(copy.concat(' ids')), 'uid 0: ENOENT\n');
    });

    test('capabilities in a user namespace of its own list nothing', () => {
      const { stdout } = inNamespace(
        `bpftool map create $P/mine ${CREATE} name own; unshare -U -r ${attacks} ids; rm $P/mine`,
      );
      assert.equal(stdout, 'uid 0: EPERM\n');
    });
  });
});
