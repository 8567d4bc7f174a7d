/** The systemd units: taken by systemd, and without the settings that would break the services. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { bpfnsPath, root, run } from './support/host.js';

const text = readFileSync(`${root}packaging/systemd/bpfns.service`, 'utf8');
const settings = new Map(
  [...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key = '', value = '']): [string, string] => [key, value]),
);

/** Named in the unit's comments, in lines of `Setting=` alone or with a reason. */
const forbidden = [...text.matchAll(/^#.*=.*$/gm)].flatMap(([line]) =>
  [...line.matchAll(/\b([A-Z]\w+)=/g)].map(([, key = '']) => key),
);

/** Runs systemd-analyze on a unit as it would be with bpfns installed. */
function analyze(unit: string, ...command: string[]): ReturnType<typeof run> {
  const directory = mkdtempSync('/tmp/bpfns-unit-');
  try {
    for (const name of ['bpfns.service', 'bpfns-web.service']) {
      const installed = readFileSync(`${root}packaging/systemd/${name}`, 'utf8').replace('/usr/bin/bpfns', bpfnsPath);
      writeFileSync(`${directory}/${name}`, installed);
    }
    return run(['systemd-analyze', ...command, `${directory}/${unit}`]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe('the systemd unit', () => {
  test('is taken by systemd without a warning', () => {
    const { status, stderr } = analyze('bpfns.service', 'verify', '--man=no');
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  test('is rated by systemd as less exposed than a service without hardening', () => {
    const { stdout } = analyze('bpfns.service', 'security', '--offline=true', '--no-pager');
    const [, exposure = '10'] = /exposure level for bpfns.service: ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(exposure) < 7, stdout);
  });

  test('waits for readiness, is watched, and keeps the listeners', () => {
    assert.equal(settings.get('Type'), 'notify');
    assert.ok(Number(settings.get('WatchdogSec')) > 0);
    assert.ok(Number(settings.get('FileDescriptorStoreMax')) >= 1024);
    assert.equal(settings.get('RuntimeDirectoryPreserve'), 'yes');
  });

  test('names what has to stay off', () => {
    assert.ok(forbidden.includes('ProtectSystem') && forbidden.includes('MemoryDenyWriteExecute'));
  });

  for (const key of forbidden) {
    test(`has no ${key}=`, () => {
      assert.ok(!settings.has(key));
    });
  }
});

describe('the systemd unit of the page', () => {
  test('is taken by systemd without a warning', () => {
    const { status, stderr } = analyze('bpfns-web.service', 'verify', '--man=no');
    assert.deepEqual([status, stderr], [0, '']);
  });

  test('is rated by systemd as safe: it needs nothing but its socket', () => {
    const { stdout } = analyze('bpfns-web.service', 'security', '--offline=true', '--no-pager');
    const [, exposure = '10'] = /exposure level for bpfns-web.service: ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(exposure) < 2.5, stdout);
  });
});
