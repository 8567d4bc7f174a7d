/** `make packages`: what is made is the same twice, installs on what it is for, and leaves nothing when it goes. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { before, describe, test } from 'node:test';
import product from '../package.json' with { type: 'json' };
import type { Release } from '../tools/debian-tar.js';
import { DebianRoot, nextVersion, packNode } from './support/debian-root.js';
import { leavesNothingBehind, root, run, skipReason } from './support/host.js';

const packages = `${root}build/packages`;
const scratch = mkdtempSync(`${tmpdir()}/bpfns-packages-`);
process.on('exit', () => rmSync(scratch, { recursive: true }));
const debian = `bpfns_${product.version}_${run(['dpkg', '--print-architecture']).stdout.trim()}.deb`;

function make(directory: string): void {
  const { status, stdout, stderr } = run(['make', '-C', directory, 'packages'], {
    timeoutSeconds: 900,
    // Else the time of the last commit.
    env: { SOURCE_DATE_EPOCH: '1700000000' },
  });
  assert.equal(status, 0, stdout + stderr);
}

describe('make packages', { skip: skipReason }, () => {
  before(() => make(root));

  test('gives the same bytes in another directory', () => {
    const copy = `${scratch}/elsewhere`;
    cpSync(root, copy, { recursive: true, filter: (path) => !/^(build|\.git)$/.test(path.slice(root.length)) });
    make(copy);
    const sums = (directory: string): string => readFileSync(`${directory}/build/packages/SHA256SUMS`, 'utf8');
    assert.equal(sums(copy), sums(root));
    rmSync(copy, { recursive: true });
  });

  test('the checksums are those of the files', () => {
    const { status, stdout } = run(['sh', '-c', `cd ${packages} && sha256sum --strict --check SHA256SUMS`]);
    assert.equal(status, 0, stdout);
    assert.equal(stdout.trim().split('\n').length, readdirSync(packages).length - 1);
  });

  test('lintian has nothing to say but what is overridden with a reason', () => {
    const { status, stdout } = run(['lintian', '--allow-root', '--tag-display-limit', '0', `${packages}/${debian}`]);
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });

  test('names the licence of every package in the bundle', () => {
    const { stdout } = run(['dpkg-deb', '--fsys-tarfile', `${packages}/${debian}`]);
    assert.ok(stdout.length > 0);
    for (const name of Object.keys(product.dependencies)) {
      assert.match(
        run(['tar', '-xOf', `${packages}/bpfns-${product.version}.tgz`, 'package/THIRD-PARTY-NOTICES']).stdout,
        new RegExp(`^${name} [\\d.]+ \\(`, 'm'),
      );
    }
  });

  test('npm installs it without a network, and it runs', () => {
    const prefix = `${scratch}/prefix`;
    const tarballs = readdirSync(packages).filter((name) => name.endsWith('.tgz'));
    const words = ['npm', 'install', '--global', '--offline', '--cache', `${scratch}/cache`, '--prefix', prefix];
    const installed = run(['unshare', '--net', ...words, ...tarballs.map((name) => `${packages}/${name}`)]);
    assert.equal(installed.status, 0, installed.stderr);
    const { stdout, stderr } = run([`${prefix}/bin/bpfns`, 'of', 'self']);
    assert.match(stdout, /init {2}level 0/, stderr);
  });
});

const suites: Readonly<Record<Release, readonly string[]>> = {
  // Its own nodejs is 18: see packNode().
  bookworm: ['libbpf1', 'bpftool', 'libstdc++6'],
  trixie: ['libbpf1', 'bpftool', 'nodejs'],
};

for (const [suite, needed] of Object.entries(suites) as Array<[Release, readonly string[]]>) {
  describe(`the Debian package on ${suite}`, { skip: skipReason }, () => {
    let machine: DebianRoot;
    leavesNothingBehind(() => machine.close());
    let untouched: readonly string[];
    before(async () => {
      machine = await DebianRoot.make(suite, needed);
      machine.add(`${packages}/${debian}`, '/root/bpfns.deb');
      machine.add(nextVersion(`${packages}/${debian}`, `${product.version}+next`, scratch), '/root/next.deb');
      if (!needed.includes('nodejs')) {
        machine.add(packNode(scratch), '/root/nodejs.deb');
        machine.sh('dpkg --install /root/nodejs.deb');
      }
      machine.add(`${root}tools/demo.sh`, '/root/demo/tools/demo.sh');
      machine.add(`${root}build/guests/attach`, '/root/demo/build/guests/attach');
      untouched = everything(machine);
    });

    test('installs', () => {
      machine.sh('dpkg --install /root/bpfns.deb');
      assert.equal(machine.sh('bpfns --version').trim(), product.version);
      assert.equal(machine.sh('bpfns daemon --check-config'), '');
    });

    test("runs the demo's main act", () => {
      const shown = machine.sh('cd /root/demo && BPFNS=bpfns bash tools/demo.sh');
      assert.match(shown, /bpftool map list\n +1: /);
      assert.match(shown, /web/);
      assert.match(shown, /kept alive by/);
    });

    test('an upgrade keeps what the administrator changed, and does not touch what runs', () => {
      machine.sh(`echo '# mine' >>/etc/bpfns/bpfns.toml; mkfifo /tmp/in
        (bpfns run --name kept -- sh -c 'bpftool map create /sys/fs/bpf/bpfns-kept type hash key 4 value 4 entries 8 name kept
          echo >/tmp/made; read -r _ </tmp/in') >/dev/null 2>&1 &
        until [ -e /tmp/made ]; do sleep 0.1; done
        dpkg --install /root/next.deb`);
      assert.match(machine.sh('cat /etc/bpfns/bpfns.toml'), /^# mine$/m);
      assert.match(machine.sh('bpfns ls'), /kept/);
      machine.sh('echo >/tmp/in; rm /sys/fs/bpf/bpfns-kept; while [ -e /run/bpfns ]; do sleep 0.1; done');
    });

    test('nothing is left after it is purged', () => {
      machine.sh('dpkg --purge bpfns');
      assert.deepEqual(
        everything(machine).filter((line) => !untouched.includes(line)),
        [],
      );
    });
  });
}

/** Every file of a root, its groups, and what is in its /run; but what dpkg keeps for itself. */
function everything(machine: DebianRoot): string[] {
  const files = "find / /run -xdev -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' -not -path '/etc/*-'";
  return machine.sh(`${files}; getent group`).split('\n').sort();
}
