import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatDelegation, isWithin, parseDelegation } from './delegation.js';

describe('a delegation', () => {
  test('is written in the words of the mount options of bpffs', () => {
    const text = 'cmds=map_create:prog_load,maps=array,progs=any';
    const parsed = parseDelegation(text);
    assert.deepEqual(parsed, { cmds: 'map_create:prog_load', maps: 'array', progs: 'any' });
    assert.equal(formatDelegation(parsed ?? {}), text);
  });

  test('may be any, for all four', () => {
    assert.deepEqual(parseDelegation('any'), { cmds: 'any', maps: 'any', progs: 'any', attachs: 'any' });
  });

  for (const wrong of ['', 'cmds', 'cmds=', 'cmds=0x1', 'cmds=a,cmds=b', 'others=any', 'maps=Array', 'maps=a::b']) {
    test(`is not written '${wrong}'`, () => assert.equal(parseDelegation(wrong), undefined));
  }

  const allowed = { cmds: 'map_create:prog_load', progs: 'any' };
  for (const [wanted, isAllowed] of [
    [{ cmds: 'prog_load' }, true],
    [{ cmds: 'prog_load:map_create', progs: 'xdp' }, true],
    [{ progs: 'any' }, true],
    [{ cmds: 'prog_load:btf_load' }, false],
    [{ cmds: 'any' }, false],
    [{ cmds: 'map' }, false],
    [{ maps: 'array' }, false],
  ] as const) {
    const what = formatDelegation(wanted);
    test(`of ${formatDelegation(allowed)} ${isAllowed ? 'allows' : 'does not allow'} ${what}`, () => {
      assert.equal(isWithin(wanted, allowed), isAllowed);
    });
  }
});
