/** The systemd unit: taken by systemd, and without the settings that would break the service. */
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

/** Runs systemd-analyze on the unit as it would be with bpfns installed. */
function analyze(...command: string[]): ReturnType<typeof run> {
  const directory = mkdtempSync('/tmp/bpfns-unit-');
  try {
    const path = `${directory}/bpfns.service`;
    writeFileSync(path, text.replace('/usr/bin/bpfns', bpfnsPath));
    return run(['systemd-analyze', ...command, path]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe('the systemd unit', () => {
  test('is taken by systemd without a warning', () => {
    const { status, stderr } = analyze('verify', '--man=no');
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  test('is rated by systemd as less exposed than a service without hardening', () => {
    const { stdout } = analyze('security', '--offline=true', '--no-pager');
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
