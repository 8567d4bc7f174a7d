/** Debian 13's xdp-forward, which Debian 12 does not have, in a root of that release. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { DebianRoot } from '../support/debian-root.js';
import { bpfnsPath, leavesNothingBehind, run, skipReason } from '../support/host.js';

/** Devices and bpffs are gone when it ends. */
const withPair = ['unshare', '--net', 'sh', '-ec', 'ip link add va type veth peer name vb; exec "$@"', 'sh'];
const script = `
  mount -t bpf bpf /sys/fs/bpf
  xdp-forward load va vb
  xdp-loader status
  xdp-forward load va vb
  xdp-forward unload va vb
  xdp-loader status`;

describe("Debian 13's xdp-tools", { skip: skipReason }, () => {
  let machine: DebianRoot;
  leavesNothingBehind(() => machine.close());
  before(async () => {
    machine = await DebianRoot.make('trixie', ['xdp-tools']);
  });

  /** What they print, without the ids. */
  function printed(prefix: readonly string[]): string {
    const inside = ['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-ec', script];
    const { status, stdout, stderr } = run([...prefix, ...withPair, ...machine.command(inside)]);
    assert.equal(status, 0, stdout + stderr);
    return stdout.replaceAll(/ \d+ +(?=[0-9a-f]{16} )/g, ' ID ');
  }

  test('xdp-forward loads, is listed, and unloads in a namespace as natively', () => {
    const inside = printed([bpfnsPath, 'run', '--']);
    assert.equal(inside, printed([]));
    for (const device of ['va', 'vb']) {
      assert.match(inside, new RegExp(`^${device} +xdp_fwd\\w* .* ID [^]*^${device} +<No XDP program loaded!>`, 'm'));
    }
  });
});
