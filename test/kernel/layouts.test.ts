/** The offsets in the code match this kernel and bpf/bpfns.h, and nothing that this kernel has is missing there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Btf, BtfKind } from '../../src/sys/btf.js';
import * as generated from '../../src/sys/kernel.gen.js';
import { layoutOf } from '../../src/sys/layout.js';
import { root } from '../support/host.js';

const vmlinux = new Btf(readFileSync('/sys/kernel/btf/vmlinux'));
const structures = Object.entries(generated).filter(([, members]) => 'sizeof' in members);
const enumerations = Object.entries(generated).filter(([, members]) => !('sizeof' in members));

/**
 * What a later kernel adds. Somebody has to find out whether it takes or gives ids: trapped.test.ts and shapes.test.ts
 * have a line for each command and each id.
 */
function added(running: Iterable<string>, known: object): string[] {
  return [...running].filter((name) => !(name in known) && !/^(__|MAX_)/.test(name));
}

describe('src/sys/kernel.gen.ts agrees with the running kernel', () => {
  for (const [name, members] of structures) {
    test(`${name}: every member that this kernel has is at the same offset`, () => {
      const running = layoutOf(vmlinux, name);
      assert.ok(running, `the kernel's BTF has ${name}`);
      const known = Object.entries(members).filter(([member]) => member !== 'sizeof' && running.has(member));
      assert.ok(known.length > 0);
      for (const [member, offset] of known) assert.equal(running.get(member), offset, `${name}.${member}`);
      assert.deepEqual(added(running.keys(), members), []);
    });
  }

  for (const [name, values] of enumerations) {
    test(`${name}: every name that this kernel has stands for the same number`, () => {
      const running = new Map(vmlinux.enumerators(vmlinux.find(BtfKind.enum, name)));
      const known = Object.entries(values).filter(([key]) => running.has(key));
      assert.ok(known.length > 0);
      for (const [key, value] of known) assert.equal(running.get(key), value, key);
      assert.deepEqual(added(running.keys(), values), []);
    });
  }
});

test('src/sys/contract.gen.ts is what bpf/bpfns.h says', () => {
  const { status, stderr } = spawnSync(process.execPath, [`${root}build/js/tools/gen-layouts.js`, '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
