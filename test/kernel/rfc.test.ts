/**
 * Mistakes of the RFC's kernel patches that user space could see, and that this implementation does
 * not make. There is one test for each, named after the mistake.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { cgroup2Mount } from '../../src/host/cgroups.js';
import { bpfns_budget } from '../../src/sys/contract.gen.js';
import { Guest } from '../support/guest.js';
import {
  agentGone,
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  pinDirectory,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { limit, times } from '../support/slowness.js';

interface Summary {
  readonly id: number;
  readonly parent: number | null;
  readonly path: string;
}

const summaries = (): Summary[] => JSON.parse(bpfns(['ls', '--json']).stdout).namespaces;
const has = (path: string): boolean => summaries().some((each) => each.path === path);
const newMap = (name: string): string => `bpftool map create $P/${name} type hash key 4 value 4 entries 1 name ${name}`;

describe('the RFC', { skip: skipReason }, () => {
  leavesNothingBehind();

  test("took a sibling's object for one of its own, comparing depth instead of ancestry", () => {
    const { stdout } = bpfns(['run', '--', guestPath('tree'), 'siblings']);
    assert.match(stdout, /^sibling 1 sees 1 0 0 0 0 0$/m);
  });

  test('freed a namespace under its objects: here a pin alone keeps it, and its end is the end of both', async () => {
    inNamespace(newMap('pinned'), { args: ['--name', 'freed'] });
    assert.ok(has('freed'));
    const { stdout } = bpfns(['exec', 'freed', '--', 'bpftool', '-j', 'map', 'list']);
    assert.equal(JSON.parse(stdout)[0].id, 1);
    run(['rm', `${pinDirectory()}/pinned`]);
    await until(() => !has('freed'), 'the namespace outlives its last object');
  });

  test('returned fd 0 for an object that was gone, when no number could be given', async () => {
    bpfns(['create', 'full']);
    const id = summaries().find(({ path }) => path === 'full')?.id ?? 0;
    // A budget of nothing.
    const budget = `pinned ${runDir}/bpf/maps/budgets key hex`.split(' ').concat(hex(id, 4));
    const nothing = ['value', 'hex', ...hex(0, bpfns_budget.sizeof)];
    assert.equal(run(['bpftool', 'map', 'update', ...budget, ...nothing]).status, 0);
    const guest = Guest.bpfns(['exec', 'full', '--', guestPath('observe'), 'lost']);
    await until(() => guest.lines.length > 0, 'nothing printed');
    assert.deepEqual(guest.lines, ['fd given, id 0, works'], 'it is there; without a number it belongs to init');
    await guest.end();
    bpfns(['rm', 'full']);
  });

  test('showed an object before its numbers were there', () => {
    const publish = ['publish', String(times(1000)), String(limit(30))];
    const { stdout } = bpfns(['run', '--', ...asContainerUser, guestPath('observe'), ...publish]);
    assert.deepEqual(stdout.trimEnd().split('\n').sort(), ['namespace: found, 0 wrong', 'parent: found, 0 wrong']);
  });

  test('fell over processes that end while they hold the last fd of a program', async () => {
    const guest = Guest.bpfns(['run', '--name', 'ends', '--', guestPath('tree'), 'example']);
    await guest.printed('ready');
    assert.equal(await guest.end(), 0);
    await until(() => !has('ends'), 'the namespace is still there');
    assert.doesNotMatch(run(['bpftool', 'prog', 'list']).stdout, /name (first|second)/);
  });

  test('gave user space no way to walk the tree', async () => {
    // The input outlives the parent. The child exits when the input ends.
    const start = `${bpfnsPath} run --name top -- ${guestPath('nest')} leave-a-child; exec cat`;
    const guest = new Guest(['sh', '-c', start]);
    await guest.printed('left');
    const all = summaries();
    const chain: string[] = [];
    for (let at = all.at(-1); at; at = all.find(({ id }) => id === at?.parent)) chain.push(at.path);
    assert.deepEqual([chain.length, ...chain.slice(1)], [3, 'top', 'init']);
    await guest.end();
  });

  test('could not tell the namespace of a task that ends: here it says that there is no such process', () => {
    const { status, stderr } = bpfns(['of', '4194304']);
    assert.equal(status, 1);
    assert.match(stderr, /cannot find process 4194304/);
  });

  test('had no setns: here a second shell in a running namespace sees what the first made', async () => {
    const guest = Guest.bpfns(['run', '--name', 'shell', '--', guestPath('nest'), 'failing-and-wait']);
    await guest.printed('EINVAL 1');
    const { stdout } = bpfns(['exec', 'shell', '--', 'bpftool', '-j', 'map', 'list']);
    assert.deepEqual(idsIn(stdout), [1]);
    await guest.end();
  });

  test('left the ids of PROG_QUERY untranslated', (t) => {
    const cgroup = `${cgroup2Mount()}/bpfns-test-${process.pid}`;
    mkdirSync(cgroup);
    t.after(() => rmdirSync(cgroup));
    const script = `${guestPath('leave-behind')}; bpftool -j cgroup show ${cgroup}; echo; bpftool -j prog list; rm $P/*`;
    const { stdout } = bpfns(['run', '--', 'sh', '-c', script], { env: { P: pinDirectory(), CGROUP: cgroup } });
    const [shown = '', list = ''] = stdout.split('\n').filter((line) => line !== '');
    assert.deepEqual(idsIn(shown), [2]);
    assert.deepEqual(idsIn(list), [1, 2]);
  });

  test('listed BTF that it did not let one open', () => {
    const { stdout } = inNamespace(`
      for id in $(bpftool btf list | sed -n 's/^\\([0-9]*\\):.*/\\1/p'); do
        bpftool btf show id $id >/dev/null && echo opened || echo refused
      done`);
    assert.deepEqual(new Set(stdout.trim().split('\n')), new Set(['opened']));
  });

  test('let TASK_FD_QUERY look into any process', async () => {
    const host = new Guest([guestPath('tree'), 'example-here']);
    await host.printed('ready');
    const [pid = ''] = host.lines;
    const outside = run([guestPath('observe'), 'query', pid]);
    assert.match(outside.stdout, /prog \d+/, 'the host may');
    const inside = bpfns(['run', '--', guestPath('observe'), 'query', pid]);
    assert.doesNotMatch(inside.stdout, /prog/);
    await host.end();
  });

  test('took what was made before it was ready for nothing at all: here that belongs to init', async () => {
    await agentGone();
    const pin = `${pinDirectory()}/early`;
    run(['bpftool', 'map', 'create', pin, 'type', 'hash', 'key', '4', 'value', '4', 'entries', '1', 'name', 'early']);
    const guest = Guest.bpfns(['run', '--', guestPath('nest'), 'failing-and-wait']);
    await guest.printed('EINVAL 1');
    const { objects } = JSON.parse(bpfns(['map', 'list', '--json']).stdout);
    const early = objects.find(({ name }: { name: string }) => name === 'early');
    assert.deepEqual([early.namespace.path, early.creator], ['init', null]);
    await guest.end();
    run(['rm', pin]);
  });
});

const idsIn = (list: string): number[] => JSON.parse(list).map(({ id }: { id: number }) => id);

/** A little-endian number in bpftool's format. */
function hex(value: number, bytes: number): string[] {
  return Array.from({ length: bytes }, (_, i) => (((value >>> 0) / 256 ** i) & 255).toString(16));
}
