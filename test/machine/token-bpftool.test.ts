/** Debian 13's bpftool (7.5, with libbpf 1.5) in a user namespace: it finds the token by itself. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { DebianRoot } from '../support/debian-root.js';
import { lacking } from '../support/features.js';
import { bpfnsPath, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';
import { inOwn, userTable } from '../support/users.js';

const UID = 54324;
const WHAT = 'cmds=map_create:prog_load:btf_load,maps=array,progs=xdp:sched_cls:socket_filter,attachs=any';

describe("bpftool of a user without rights, in Debian 13's root", { skip: skipReason || lacking('BPF token') }, () => {
  let daemon: Daemon | undefined;
  let debian: DebianRoot | undefined;
  leavesNothingBehind(async () => {
    await daemon?.end();
    await debian?.close();
  });
  before(async () => {
    debian = await DebianRoot.make('trixie', ['bpftool']);
    debian.add(guestPath('xdp.bpf.o'), '/xdp.o');
    daemon = await Daemon.configured(userTable(UID, 4, WHAT));
  });

  /** Runs a shell script in a BPF namespace of the user; `$inside` is a command that runs another in that root. */
  function withBpftool(script: string, ...options: readonly string[]): string {
    const setUp = 'mount --rbind /sys "$0/sys"; mount --rbind /proc "$0/proc"; inside="chroot $0"';
    const shell = ['unshare', '--mount', 'sh', '-c', `${setUp}\n${script}`, debian?.path ?? ''];
    const { stdout, stderr } = run([...inOwn(UID), bpfnsPath, 'run', ...options, '--', ...shell]);
    return stdout + stderr;
  }

  test('loads programs by token, and shows them by the ids of the namespace', () => {
    const output = withBpftool(
      `$inside bpftool prog loadall /xdp.o /sys/fs/bpf/programs
      $inside bpftool prog show
      for id in $($inside bpftool prog show | sed -n 's/^\\([0-9]*\\):.*/\\1/p'); do
        $inside bpftool prog show id $id >/dev/null && echo opened
      done`,
      '--delegate',
      WHAT,
    );
    const types = [...output.matchAll(/^[1-9]: (\w+) /gm)].map(([, type]) => type);
    assert.deepEqual(new Set(types), new Set(['sched_cls', 'xdp']), output);
    assert.equal(output.split('opened').length, 3);
  });

  test('is refused without delegation', () => {
    const output = withBpftool(
      '$inside bpftool prog load /xdp.o /sys/fs/bpf/program; $inside bpftool prog show; echo end',
    );
    assert.match(output, /Operation not permitted/);
    assert.doesNotMatch(output, /^\d+: /m);
  });
});
