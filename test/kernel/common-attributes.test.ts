/** Flags in the upper half of bpf(2)'s command, and the common attributes that one of them announces (Linux 7.2). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OWN_NAMESPACE } from '../../src/filter/own-command.js';
import { trappedCommands } from '../../src/filter/trapped.js';
import { lacking } from '../support/features.js';
import { bpfnsPath, guestPath, leavesNothingBehind, run, skipReason } from '../support/host.js';

const commands = trappedCommands.filter((command) => command !== OWN_NAMESPACE.command).map(String);

describe('flags beside the command', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('are refused inside where the kernel refuses them, with its errors', () => {
    const native = run([guestPath('common'), ...commands]);
    assert.match(native.stdout, /^command 12, flags 20000, none: EINVAL$/m);
    assert.deepEqual(run([bpfnsPath, 'run', '--', guestPath('common'), ...commands]), native);
  });

  test('common attributes are checked, and a log asked for through them is filled', {
    skip: lacking('common attributes of bpf(2)'),
  }, () => {
    const { stdout } = run([bpfnsPath, 'run', '--', guestPath('common'), '12']);
    for (const line of [
      'command 12, flags 10000, none: ENOENT',
      'command 12, flags 10000, NULL: EFAULT',
      'command 12, flags 10000, longer: E2BIG',
      'command 12, flags 10000, too long: E2BIG',
      'command 12, flags 10000, cut: EFAULT',
      'command 12, flags 30000, none: EINVAL',
      'PROG_LOAD: ok, log filled',
    ])
      assert.ok(stdout.includes(`${line}\n`), `${line}: ${stdout}`);
    assert.match(stdout, /^BTF_LOAD: EINVAL, log filled, [1-9]\d* bytes$/m);
  });
});
