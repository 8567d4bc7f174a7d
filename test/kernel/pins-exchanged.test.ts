/** Root lists and removes pins below directories that a guest may write to, and is not led anywhere else. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { HostObject } from '../../src/model/host-object.js';
import {
  bpfns,
  bpfnsPath,
  leavesNothingBehind,
  listed,
  pinDirectory,
  run,
  skipReason,
  start,
  startInNamespace,
} from '../support/host.js';

const CREATE = 'type array key 4 value 4 entries 1';

async function objectsOf(name: string): Promise<HostObject[]> {
  const { inventory, readRecords } = await import('../../src/host/inventory.js');
  return inventory(['map'], readRecords()).filter(({ namespace }) => namespace.name === name);
}

describe('pins that a guest moves while root looks', { skip: skipReason }, () => {
  leavesNothingBehind();
  let roots: string;
  before(() => {
    roots = mkdtempSync(join(tmpdir(), 'bpfns-pins-'));
    mkdirSync(join(roots, 'etc'));
  });
  after(() => {
    rmSync(roots, { recursive: true });
  });

  test("a directory exchanged for a link to root's: what lies there stays, and the pin goes", async () => {
    writeFileSync(join(roots, 'etc/passwd'), 'root');
    // One step per line of input, so that the exchange falls between root's lookup and root's
    // removal.
    const guest = await startInNamespace(
      `mkdir -p $P/g/d; bpftool map create $P/g/d/passwd ${CREATE} name pinned
       echo ready; read -r to; cd $P/g; mv d moved; ln -s $to d; echo exchanged; read -r _ || true`,
      ['--name', 'swap'],
    );
    const objects = await objectsOf('swap');
    assert.deepEqual(
      objects.flatMap(({ pins }) => pins),
      [`${pinDirectory()}/g/d/passwd`],
    );
    await guest.ask(join(roots, 'etc'), 'exchanged');
    const { evict } = await import('../../src/host/evict.js');
    assert.deepEqual(evict(objects), [`unpinned ${pinDirectory()}/g/moved/passwd`]);
    assert.ok(existsSync(join(roots, 'etc/passwd')), "root's file is gone");
    assert.ok(!existsSync(`${pinDirectory()}/g/moved/passwd`));
    await guest.end();
  });

  test('a name that is no UTF-8 is listed with its bytes escaped, and removed', async () => {
    const guest = await startInNamespace(
      `n=$(printf 'odd\\377\\001'); bpftool map create "$P/plain" ${CREATE} name odd; mv "$P/plain" "$P/$n"
       echo ready; read -r _ || true`,
      ['--name', 'odd'],
    );
    const pins = listed('map', 'odd').map((each) => each.pins);
    assert.deepEqual(pins, [[`${pinDirectory()}/odd\\xff\u0001`]]);
    assert.match(bpfns(['map', 'list', '--ns', 'odd']).stdout, /odd\\xff\\u\{1\}$/m);
    const hostId = String(listed('map', 'odd')[0]?.hostId);
    assert.match(bpfns(['who', 'map', hostId]).stdout, /odd\\xff\\u\{1\}/);
    await guest.end();
    assert.match(bpfns(['rm', 'odd', '--objects', '--yes']).stdout, /unpinned .*odd\\xff\\u\{1\}/);
  });

  test('pins in a bpffs that is mounted elsewhere are found and removed', async () => {
    const elsewhere = join(roots, 'bpffs');
    mkdirSync(elsewhere);
    assert.equal(run(['mount', '-t', 'bpf', 'bpf', elsewhere]).status, 0);
    const pin = join(elsewhere, 'pin');
    const script = `bpftool map create ${pin} ${CREATE} name elsewhere; echo ready; read -r _ || true`;
    const guest = await start([bpfnsPath, 'run', '--name', 'elsewhere', '--', 'sh', '-ec', script]);
    assert.deepEqual(
      listed('map', 'elsewhere').map(({ pins }) => pins),
      [[pin]],
    );
    await guest.end();
    assert.ok(bpfns(['rm', 'elsewhere', '--objects', '--yes']).stdout.includes(`unpinned ${pin}\n`));
    assert.ok(!existsSync(pin));
    run(['umount', elsewhere]);
  });

  test('pins in a bpffs of another mount namespace are found and removed there', async () => {
    const script = `mount -t tmpfs tmpfs /mnt; mkdir /mnt/b; mount -t bpf bpf /mnt/b
      bpftool map create /mnt/b/far ${CREATE} name far; echo ready; read -r _ || true`;
    const guest = await start([bpfnsPath, 'run', '--name', 'far', '--', 'unshare', '-m', 'sh', '-ec', script]);
    const [pin = ''] = listed('map', 'far')[0]?.pins ?? [];
    assert.match(pin, /^\/proc\/\d+\/root\/mnt\/b\/far$/);
    assert.ok(existsSync(pin));
    assert.match(bpfns(['rm', 'far', '--objects', '--yes']).stdout, /unpinned \/proc\/\d+\/root\/mnt\/b\/far/);
    assert.ok(!existsSync(pin));
    await guest.end();
  });
});
