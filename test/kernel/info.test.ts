/**
 * What bpf(2) shows of an object in a namespace: the namespace's ids, and everything else as for
 * the host's root.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cgroup2Mount } from '../../src/host/cgroups.js';
import { type Kind, kinds } from '../../src/model/ids.js';
import { bpf_btf_info, bpf_link_info, bpf_map_info, bpf_prog_info } from '../../src/sys/kernel.gen.js';
import { lacking } from '../support/features.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  limited,
  run,
  skipReason,
} from '../support/host.js';

/** The places of ids in each info structure. A link has more, depending on its type. */
const idPlaces: Readonly<Record<Kind, ReadonlyArray<readonly [offset: number, kind: Kind]>>> = {
  map: [
    [bpf_map_info.id, 'map'],
    [bpf_map_info.btf_id, 'btf'],
    [bpf_map_info.btf_vmlinux_id, 'btf'],
  ],
  prog: [
    [bpf_prog_info.id, 'prog'],
    [bpf_prog_info.btf_id, 'btf'],
    [bpf_prog_info.attach_btf_obj_id, 'btf'],
  ],
  link: [
    [bpf_link_info.id, 'link'],
    [bpf_link_info.prog_id, 'prog'],
  ],
  btf: [[bpf_btf_info.id, 'btf']],
};
const ITER = 4;
/** The links that the guest creates, in order, with type and further place of an id. */
const allLinks: ReadonlyArray<readonly [what: string, type: number, place?: readonly [offset: number, kind: Kind]]> = [
  ['raw_tracepoint', 1],
  ['tp_btf', 1],
  ['iter', ITER],
  ['iter_map', ITER, [bpf_link_info.iter_map_map_id, 'map']],
  ['cgroup', 3],
  ['netns', 5],
  ['tcx', 11],
  ['netfilter', 10],
  ['perf_event', 7],
];
const lackingLinks = new Map(['tcx', 'netfilter'].map((what) => [what, lacking(`${what} links`)] as const));

process.env.CGROUP = cgroup2Mount();

async function begin(command: readonly string[]): Promise<{ guest: ChildProcess; lines: string[] }> {
  const guest = spawn('timeout', limited(300, command), { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  await new Promise((resolve) =>
    guest.stdout?.on('data', (part: Buffer) => {
      text += part.toString();
      if (/^done /m.test(text)) resolve(undefined);
    }),
  );
  return { guest, lines: text.trimEnd().split('\n') };
}

describe("a map's hash", { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is given, or refused, as natively for every length', () => {
    const natively = run([guestPath('map-hash')]).stdout;
    assert.match(natively, /^array, pointer, 1: /m);
    assert.equal(bpfns(['run', '--', ...asContainerUser, guestPath('map-hash')]).stdout, natively);
  });
});

describe('a link of uprobes', { skip: skipReason || lacking('uprobe_multi links') }, () => {
  leavesNothingBehind();
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'bpfns-uprobes-'));
    for (const name of ['bin', 'empty']) mkdirSync(join(directory, name));
    copyFileSync('/bin/true', join(directory, 'bin/file'));
  });
  after(() => rmSync(directory, { recursive: true }));

  test("shows the file's path from the caller's root directory, and the caller's own pid", () => {
    const rights = '-all,+bpf,+perfmon,+sys_chroot';
    const asUser = ['setpriv', '--reuid=0', `--bounding-set=${rights}`, `--inh-caps=${rights}`];
    const guest = ['unshare', '-pf', ...asUser, guestPath('uprobes'), directory];
    const natively = run(guest);
    assert.match(natively.stdout, /^from the directory$(?:\n.*)+'\/bin\/file' of 10, 1 places, this process$/m);
    assert.equal(natively.status, 0, natively.stderr);
    assert.equal(bpfns(['run', '--', ...guest]).stdout, natively.stdout);
  });
});

describe('objects of a namespace beside those of the host', { skip: skipReason }, () => {
  const guests: ChildProcess[] = [];
  after(async () => {
    for (const guest of guests) {
      const gone = new Promise((resolve) => guest.once('exit', resolve));
      guest.stdin?.end();
      await gone;
    }
  });
  leavesNothingBehind();

  let hostLines: string[];
  let inside: string[];
  let native: string[];
  /** The host id for each id in the namespace. */
  const hostIdOf: Record<Kind, Map<number, number>> = {
    map: new Map(),
    prog: new Map(),
    link: new Map(),
    btf: new Map(),
  };

  before(async () => {
    const host = await begin([guestPath('links'), '1']);
    guests.push(host.guest);
    hostLines = host.lines;
    const [, pid = ''] = /^done (\d+)/m.exec(hostLines.join('\n')) ?? [];
    const ours = await begin([bpfnsPath, 'run', '--name', 'info', '--', ...asContainerUser, guestPath('links'), pid]);
    guests.push(ours.guest);
    inside = ours.lines;
    native = run([guestPath('links')]).stdout.split('\n');
    for (const kind of kinds) {
      const { objects } = JSON.parse(bpfns([kind, 'list', '--json']).stdout) as {
        objects: { hostId: number; id: number; type: string; namespace: { name: string } }[];
      };
      const owned = objects.filter(({ namespace }) => namespace.name === 'info');
      for (const { id, hostId } of owned) hostIdOf[kind].set(id, hostId);
      // The kernel's BTF has its host id in every namespace.
      if (kind !== 'btf') continue;
      const kernels = objects.filter(({ type }) => type === 'kernel').map(({ hostId }) => hostId);
      for (const hostId of kernels) hostIdOf.btf.set(hostId, hostId);
    }
  });

  const infoIn = (lines: readonly string[], kind: Kind, id: number): Buffer => {
    const [, hex] = new RegExp(`^${kind} ${id} ([0-9a-f]+)$`, 'm').exec(lines.join('\n')) ?? [];
    assert.ok(hex, `no info of ${kind} ${id}`);
    return Buffer.from(hex, 'hex');
  };
  const isMade = (lines: readonly string[], what: string): boolean => lines.includes(`made ${what} ok`);
  /** Those that were made, so that the position of a link here is its id. */
  const links = (): typeof allLinks => allLinks.filter(([what]) => isMade(inside, what));
  const idsIn = (lines: readonly string[], kind: Kind): number[] =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [Number(line.split(' ')[1])] : []));

  for (const kind of kinds) {
    test(`every ${kind}: info equals the host's, but for the ids`, () => {
      const ids = idsIn(inside, kind);
      assert.deepEqual(
        ids,
        [...hostIdOf[kind].keys()].sort((a, b) => a - b),
      );
      assert.ok(ids.length > 0);
      for (const id of ids) {
        const info = infoIn(inside, kind, id);
        const type = kind === 'link' ? links()[id - 1] : undefined;
        const extra = type?.[2] ? [type[2]] : [];
        for (const [offset, idKind] of [...idPlaces[kind], ...extra]) {
          const own = info.readUInt32LE(offset);
          if (own === 0) continue;
          const host = hostIdOf[idKind].get(own);
          assert.ok(host, `${kind} ${id}: ${idKind} ${own} at ${offset} is not of the namespace`);
          info.writeUInt32LE(host, offset);
        }
        const expected = infoIn(native, kind, hostIdOf[kind].get(id) ?? 0);
        assert.equal(info.toString('hex'), expected.toString('hex'), `${kind} ${id}`);
      }
    });
  }

  for (const [what, type, place] of allLinks) {
    const skip = lackingLinks.get(what) ?? false;
    test(`a ${what} link is made and has its type${place ? `, and the id of a ${place[1]}` : ''}`, { skip }, (t) => {
      if (what === 'iter_map' && !isMade(hostLines, what)) {
        assert.ok(!isMade(inside, what));
        t.skip('this kernel refuses programs that visit the elements of maps (EPERM)');
        return;
      }
      assert.ok(
        isMade(inside, what),
        inside.find((line) => line.startsWith(`made ${what} `)),
      );
      const info = infoIn(inside, 'link', 1 + links().findIndex(([each]) => each === what));
      assert.equal(info.readUInt32LE(bpf_link_info.type), type);
      if (place) assert.equal(info.readUInt32LE(place[0]), 1);
    });
  }

  test("PROG_QUERY leaves the host's program on the same cgroup out", () => {
    const query = (lines: readonly string[]): string[] => lines.filter((line) => line.startsWith('query '));
    const own = idsIn(inside, 'prog').find((id) => infoIn(inside, 'prog', id).readUInt32LE(bpf_prog_info.type) === 8);
    assert.deepEqual(query(inside), [`query cgroup room 64: ok, 1: ${own}`, `query effective room 64: ok, 1: ${own}`]);
    assert.match(query(native).join('\n'), /^query cgroup room 64: ok, 2:.*\nquery effective room 64: ok, 2:/);
  });

  test("TASK_FD_QUERY tells of a task of the namespace; the host's is not there", () => {
    const tasks = inside.filter((line) => line.startsWith('task '));
    const raw = infoIn(inside, 'link', 1).readUInt32LE(bpf_link_info.prog_id);
    assert.deepEqual(tasks, [
      `task own: ok, program ${raw}, sched_process_exit`,
      'task other: No such file or directory, program 0, ',
    ]);
  });
});
