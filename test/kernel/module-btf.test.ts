/** BTF of a module that is loaded while namespaces exist. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { bpfns, leavesNothingBehind, run, skipReason } from '../support/host.js';

/** A module that nothing uses. A kernel that has it built in, or not at all, has no such file. */
const MODULE = 'dummy';
const lacksModule = !existsSync(`/sys/module/${MODULE}/initstate`) && `the module ${MODULE} is not loaded`;

describe('a module that is loaded later', { skip: skipReason || lacksModule }, () => {
  // Its BTF gets another id each time, so it is not there when the host is compared.
  before(() => void run(['modprobe', '-r', MODULE]));
  leavesNothingBehind(() => void run(['modprobe', '-r', MODULE]));
  after(() => void run(['modprobe', MODULE]));

  test('has BTF that is listed and opened in a namespace', () => {
    const { status, stdout, stderr } = bpfns([
      ...['run', '--', 'sh', '-ec'],
      `bpftool btf list | grep -c '\\[${MODULE}\\]' || true
       modprobe ${MODULE}
       id=$(bpftool btf list | sed -n 's/^\\([0-9]*\\): name \\[${MODULE}\\].*/\\1/p')
       bpftool btf show id $id`,
    ]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^0\\n\\d+: name \\[${MODULE}\\] `));
  });
});
