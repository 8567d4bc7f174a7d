import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { accountOf, groupId } from './group.js';

test('a group is found by its name', () => {
  const [, , gid] =
    readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((line) => line.startsWith('daemon:'))
      ?.split(':') ?? [];
  assert.equal(groupId('daemon'), Number(gid));
  assert.equal(groupId('no-such-group'), undefined);
});

test('a user is found by its name, with all groups', () => {
  assert.deepEqual(accountOf('root')?.uid, 0);
  const account = accountOf('daemon');
  assert.ok(account?.groups.includes(account.gid));
  assert.equal(accountOf('no-such-user'), undefined);
});

test('a name that looks like an option is only a name', () => {
  assert.equal(groupId('--help'), undefined);
  assert.equal(accountOf('--help'), undefined);
});
