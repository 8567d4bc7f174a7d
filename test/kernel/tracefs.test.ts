/** The view of tracefs: what tools read about tracepoints, for guests that trace their own tasks. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { withTracefs } from '../../src/sys/tracepoint.js';
import { Daemon } from '../support/daemons.js';
import { bpfns, bpfnsPath, leavesNothingBehind, run, runDir, skipReason } from '../support/host.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

const ROOT = '/sys/kernel/tracing';
/** Runs a command in a root at $0 that has the machine's directories. */
const CHROOT = `for directory in $(cd /; echo *); do
    [ -d "/$directory" ] && [ ! -L "/$directory" ] || { cp --no-dereference "/$directory" "$0"; continue; }
    mkdir "$0/$directory"; [ "$directory" = tmp ] || mount --rbind "/$directory" "$0/$directory"
  done
  [ -e "$0$PWD" ] || { mkdir -p "$0$PWD"; mount --rbind "$PWD" "$0$PWD"; }
  exec chroot "$0" "$@"`;
const mountsBelowSys = (): string[] =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(' /sys/kernel/'));

function inside(script: string): string {
  const { stdout, stderr } = bpfns(['run', '--tracing=own', '--', ...nobodyWithBpfAlone, 'sh', '-ec', script]);
  assert.equal(stderr, '');
  return stdout;
}

describe('bpfns run --tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind(() => void bpfns(['rm', 'keeper']));

  test('shows any user the ids and formats of the tracepoints that it may use', () => {
    for (const file of ['syscalls/sys_enter_openat/id', 'raw_syscalls/sys_enter/format']) {
      const real = withTracefs((root) => readFileSync(`${root}/events/${file}`, 'utf8'));
      assert.equal(inside(`cat ${ROOT}/events/${file}`), real);
    }
    const available = inside(`cat ${ROOT}/available_events`).trimEnd().split('\n');
    assert.ok(available.includes('syscalls:sys_exit_read') && available.length > 600);
    assert.ok(!available.some((name) => name.startsWith('sched:')));
  });

  test("shows nothing of the machine's traces, and cannot be written to", () => {
    const names = inside(`cd ${ROOT}; ls; ls events`).trimEnd().split('\n');
    assert.deepEqual(names.sort(), [
      'available_events',
      'events',
      'exceptions',
      'header_event',
      'header_page',
      'raw_syscalls',
      'signal',
      'syscalls',
    ]);
    const { stderr } = bpfns(['run', '--tracing=own', '--', 'touch', `${ROOT}/uprobe_events`]);
    assert.match(stderr, /Read-only file system/);
  });

  test('is there in a mount namespace that does not get the mounts of the agent', () => {
    bpfns(['create', 'keeper', '--tracing=own']);
    const words = ['unshare', '--mount', '--propagation=private', bpfnsPath, 'run', '--tracing=own', '--', 'ls', ROOT];
    assert.equal(run(words).stdout, 'available_events\nevents\n');
    bpfns(['rm', 'keeper']);
  });

  test('is there in a chroot, whose root directory is not a mount', () => {
    const directory = mkdtempSync(`${tmpdir()}/bpfns-chroot-`);
    const words = ['unshare', '--mount', '--propagation=private', 'sh', '-ec', CHROOT, directory];
    const { stdout, stderr } = run([...words, bpfnsPath, 'run', '--tracing=own', '--', 'ls', ROOT]);
    rmSync(directory, { recursive: true });
    assert.equal(stdout, 'available_events\nevents\n', stderr);
  });

  test('mounts nothing for others', () => {
    const before = mountsBelowSys();
    bpfns(['create', 'keeper', '--tracing=own']);
    assert.match(inside('cat /proc/self/mountinfo'), / \/sys\/kernel\/tracing .* tmpfs /);
    assert.deepEqual(mountsBelowSys(), before);
    const { stdout } = bpfns(['exec', 'keeper', '--', 'ls', ROOT]);
    assert.match(stdout, /^available_events\nevents\n$/);
  });
});

describe('bpfns tracefs', { skip: skipReason }, () => {
  let daemon: Daemon | undefined;
  leavesNothingBehind(async () => void (await daemon?.end()));
  const view = `${runDir}/tracefs`;

  test('needs an agent', () => {
    const { status, stderr } = bpfns(['tracefs']);
    assert.equal(status, 1);
    assert.match(stderr, /start 'bpfns daemon' first/);
  });

  test('makes the view, which goes with the daemon; tracefs = true makes it at the start', async () => {
    daemon = await Daemon.configured('');
    assert.ok(!existsSync(view));
    assert.equal(bpfns(['tracefs']).stdout, `${view}\n`);
    assert.equal(statSync(`${view}/events/raw_syscalls/sys_enter/id`).mode & 0o777, 0o444);
    await daemon.end();
    assert.ok(!existsSync(view));
    daemon = await Daemon.configured('[tracing]\ntracefs = true\n');
    assert.ok(existsSync(`${view}/available_events`));
    await daemon.end();
  });
});
