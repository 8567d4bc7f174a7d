/** Guests in user namespaces that create by BPF token: what is delegated to them, and the ids of it. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { lacking } from '../support/features.js';
import { bpfnsPath, guestPath, leavesNothingBehind, run, runDir, skipReason } from '../support/host.js';
import { byToken, delegation } from '../support/token.js';

const guest = guestPath('token');
const inUserNamespace = ['unshare', '--user', '--map-root-user', '--mount'];

/** What a caller without any right gets: EPERM, and EBADFD or EBADF for a token that is not there. */
const natively = `token errno 1
map without token errno 1
array by token errno 77 id -1
hash by token errno 9
socket filter by token errno 77 id -1
xdp by token errno 9
enable stats errno 1
open map 1 errno 1
maps: errno 1
programs: errno 1
maps: errno 1
`;

const delegated = `${byToken}nested map id 1
maps: 1 errno 2
`;

/** The output of the guest in a user namespace. */
function inside(...options: readonly string[]): string {
  const { stdout, stderr } = run([...inUserNamespace, bpfnsPath, 'run', ...options, '--', guest]);
  return stdout + stderr;
}

describe('a BPF token', { skip: skipReason || lacking('BPF token') }, () => {
  let daemon: Daemon | undefined;
  leavesNothingBehind(async () => void (await daemon?.end()));
  before(async () => {
    daemon = await Daemon.configured('');
  });

  test('is not there natively, and a user namespace cannot delegate to itself', () => {
    assert.equal(run([...inUserNamespace, guest]).stdout, natively);
    assert.equal(run([...inUserNamespace, guest, 'context']).stdout, 'delegate errno 1, create errno 1\n');
  });

  test('is not there without --delegate, and nothing can be created', () => {
    assert.match(inside(), /^token errno 1\nmap without token errno 1\narray by token errno 77 /);
  });

  test('creates what is delegated, which has ids, in nested namespaces as well; all else is EPERM', () => {
    assert.equal(inside('--delegate', delegation), delegated);
  });

  test('is there for all, if any is delegated', () => {
    const stdout = inside('--delegate', 'any');
    assert.match(stdout, /^hash by token errno 0$/m);
    assert.match(stdout, /^xdp by token errno 0$/m);
    assert.match(stdout, /^maps: 1 2 errno 2$/m);
  });

  test('is refused in the initial user namespace, with a word that the kernel does not know, and with a tracing mode', () => {
    const initial = run([bpfnsPath, 'run', '--delegate', 'any', '--', 'true']);
    assert.deepEqual([initial.status, initial.stderr.includes('BPF tokens are for user namespaces')], [125, true]);
    assert.match(inside('--delegate', 'cmds=no_such_command'), /^bpfns: the kernel refuses cmds=no_such_command: /);
    assert.match(
      inside('--delegate', 'any', '--tracing', 'none'),
      /^bpfns: a BPF token is not bound by --tracing=none/,
    );
  });

  test('comes from a bpffs on which only its user namespace has more rights than anybody', () => {
    const look = ['sh', '-c', "stat -fc %T /sys/fs/bpf; grep -o 'rw,delegate.*' /proc/self/mountinfo"];
    const { stdout } = run([...inUserNamespace, bpfnsPath, 'run', '--delegate', delegation, '--', ...look]);
    const options = delegation.split(',').map((option) => `delegate_${option}`);
    assert.equal(stdout, `bpf_fs\nrw,${options.join()}\n`);
  });

  test('is not had by giving the agent another fd, or a context of another user namespace', () => {
    const { stdout } = run([...inUserNamespace, guest, 'ask', `${runDir}/agent.sock`]);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'a pipe: EINVAL',
      'a context of tmpfs: EINVAL',
      'a context of ext4: EINVAL',
      'a context of another user namespace: EPERM',
      'no fd: EBADF',
      'its own context: delegated',
      'its own context again: EBUSY',
    ]);
  });
});
