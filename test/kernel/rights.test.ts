/** What a caller may do and see: never more than the namespace's rule and the kernel allow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asContainerUser, bpfns, bpfnsPath, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';
import { times } from '../support/slowness.js';

const guest = guestPath('rights');
const EPERM = 1;
const idCommands = ['map-next', 'prog-next', 'link-next', 'btf-next', 'map-fd', 'prog-fd', 'link-fd', 'btf-fd'];
const guarded = [...idCommands, 'task-fd-query', 'enable-stats'];

/** The error number of each command, printed by `rights ids` in a namespace. */
function errors(caller: readonly string[]): Record<string, number> {
  const { stdout } = bpfns(['run', '--', ...caller, guest, 'ids']);
  const lines = stdout.trimEnd().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([name = '', errno]) => [name, Number(errno)]));
}

const allRefused = Object.fromEntries(guarded.map((name) => [name, EPERM]));

describe('rights', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('with CAP_BPF no id command is refused, nor TASK_FD_QUERY or ENABLE_STATS', () => {
    const given = errors(asContainerUser);
    assert.deepEqual(Object.keys(given), guarded);
    for (const name of guarded) assert.notEqual(given[name], EPERM, name);
  });

  test('without CAP_BPF every id command, TASK_FD_QUERY and ENABLE_STATS fails with EPERM', () => {
    assert.deepEqual(errors(['setpriv', '--reuid=65534', '--clear-groups']), allRefused);
  });

  test('all capabilities in a user namespace of the caller count for nothing', () => {
    assert.deepEqual(errors(['unshare', '--user', '--map-root-user']), allRefused);
  });

  for (const load of ['-', 'syslog']) {
    for (const query of ['-', 'syslog', 'bpf', 'syslog,bpf']) {
      test(`a program loaded without ${load} and asked about without ${query} shows what it shows natively`, () => {
        const natively = run([guest, 'info', load, query]);
        assert.match(natively.stdout, /^own: error 0 /);
        assert.equal(bpfns(['run', '--', guest, 'info', load, query]).stdout, natively.stdout);
      });
    }
  }

  test('kernel addresses stay blank for a caller without CAP_SYSLOG', () => {
    const { stdout } = bpfns(['run', '--', ...asContainerUser, guest, 'info', '-', '-']);
    assert.match(stdout, /^own: .* ksyms 1 refused blank/m);
    assert.match(stdout, /^by id: .* ksyms 1 refused blank/m);
  });

  test('a map re-opened read-only or write-only stays so', () => {
    const natively = run([guest, 'modes']).stdout;
    assert.match(natively, /^read-only: open 0 lookup 0 update 1$/m);
    assert.match(natively, /^write-only: open 0 lookup 1 update 0$/m);
    assert.equal(bpfns(['run', '--', ...asContainerUser, guest, 'modes']).stdout, natively);
  });

  const rounds = times(100_000);
  test(`foreign objects put onto the numbers of fds under creation, ${rounds} times, stay foreign`, () => {
    const inside = [bpfnsPath, 'run', '--', guest, 'race', String(rounds)];
    const { stdout } = run([guest, 'foreign', ...inside], { timeoutSeconds: 300 });
    assert.equal(stdout, 'replaced often, visible 0, map id 0, program id 0\n');
  });

  test('a map made by a program of type SYSCALL (a light skeleton) belongs to the namespace', () => {
    const { stdout } = bpfns(['run', '--', ...asContainerUser, guest, 'light']);
    assert.match(stdout, /^loader [1-9]\d*, its map 1, first map listed 1$/m);
  });
});
