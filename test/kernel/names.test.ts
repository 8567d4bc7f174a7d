/** Managing namespaces: create, exec, rm, of, ls, ps; and how long a namespace lives. */
import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';
import { cgroup2Mount } from '../../src/host/cgroups.js';
import { Guest } from '../support/guest.js';
import {
  agentsOf,
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  pinDirectory,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';

interface Summary {
  readonly path: string;
  readonly tasks: number | null;
  readonly objects: Readonly<Record<string, number>>;
  readonly ownerUid: number;
  readonly keep: boolean;
  readonly orphaned: boolean;
}

function summaries(): Summary[] {
  return JSON.parse(bpfns(['ls', '--json']).stdout).namespaces;
}

const paths = (): string[] => summaries().map(({ path }) => path);
const summary = (path: string): Summary | undefined => summaries().find((each) => each.path === path);

/** Runs a bpfns command that must succeed. @returns its output */
function ok(...args: string[]): string {
  const { status, stdout, stderr } = bpfns(args, { env: { P: pinDirectory() } });
  assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

function fails(expected: RegExp, ...args: string[]): void {
  const { status, stderr } = bpfns(args);
  assert.notEqual(status, 0);
  assert.match(stderr, expected);
}

function agentPid(): number {
  return Number(agentsOf(runDir ?? '')[0] ?? 0);
}

describe('names', { skip: skipReason }, () => {
  leavesNothingBehind();
  afterEach(async () => {
    for (const path of paths().slice(1).reverse()) bpfns(['rm', path, '--objects', '--yes']);
    await until(() => paths().length === 1, 'namespaces are left');
  });

  test('create makes a namespace that lives with no task in it; rm ends it', () => {
    ok('create', 'web');
    ok('create', 'inner', '--parent', 'web', '--owner-uid', '65534');
    assert.deepEqual(paths(), ['init', 'web', 'web/inner']);
    assert.equal(summary('web/inner')?.ownerUid, 65534);
    assert.equal(ok('rm', 'web/inner'), '');
    assert.equal(ok('rm', 'web'), '');
    assert.deepEqual(paths(), ['init']);
  });

  for (const [name, problem] of [
    ['12', /would read as an id/],
    ['self', /would read as/],
    ['a/b', /only letters/],
    ['-x'.repeat(40), /unknown option|longer/],
  ] as const) {
    test(`no namespace can be called '${name}'`, () => fails(problem, 'create', name));
  }

  test('a name is unique among the children of one parent, not in the tree', () => {
    ok('create', 'web');
    fails(/EEXIST/, 'create', 'web');
    ok('create', 'web', '--parent', 'web');
    assert.deepEqual(paths(), ['init', 'web', 'web/web']);
  });

  test('exec enters by path, by id and by pid:N, and finds the same ids again', async () => {
    ok('create', 'web');
    ok('create', 'inner', '--parent', 'web');
    const list = 'bpftool -j map list';
    const first = ok(
      'exec',
      'web/inner',
      '--',
      ...asContainerUser,
      'sh',
      '-ec',
      `bpftool map create $P/kept type hash key 4 value 4 entries 1 name kept; ${list}`,
    );
    assert.equal(JSON.parse(first)[0].id, 1);
    const member = Guest.bpfns(['exec', 'web/inner', '--', 'sh', '-c', 'echo $$; echo ready; read -r _']);
    await member.printed('ready');
    const { namespaces } = JSON.parse(ok('ls', '--json'));
    for (const reference of ['web/inner', String(namespaces[2].id), `pid:${member.lines[0]}`]) {
      assert.equal(ok('exec', reference, '--', ...asContainerUser, 'sh', '-c', list), first, reference);
    }
    await member.end();
    fails(/no namespace 'web\/other'/, 'exec', 'web/other', '--', 'true');
  });

  test('run --parent puts the new namespace below another', async () => {
    ok('create', 'web');
    const guest = Guest.bpfns([
      'run',
      '--parent',
      'web',
      '--name',
      'job',
      '--',
      'sh',
      '-c',
      'echo $$; echo ready; read -r _',
    ]);
    await guest.printed('ready');
    const [pid = ''] = guest.lines;
    assert.deepEqual(paths(), ['init', 'web', 'web/job']);
    assert.match(ok('of', pid), /^bpf:\[\d+\] {2}web\/job {2}level 2\n$/);
    assert.equal(JSON.parse(ok('of', pid, '--json')).path, 'web/job');
    assert.match(ok('run', '--parent', `pid:${pid}`, '--', 'sh', '-c', `${guestPath('nest')} clone3`), /^caller 1$/m);
    await guest.end();
    await until(() => !paths().includes('web/job'), 'the label stays without its namespace');
  });

  test('ls --tree indents children below their parents, ps lists the processes', async () => {
    ok('create', 'web');
    ok('create', 'other');
    const guest = Guest.bpfns(['run', '--parent', 'web', '--name', 'job', '--', 'sh', '-c', 'echo ready; read -r _']);
    await guest.printed('ready');
    const names = ok('ls', '--tree')
      .split('\n')
      .slice(1, -1)
      .map((line) => line.slice(line.search(/(?<=\d {2})/)).replace(/ +[\d-].*$/, ''));
    assert.deepEqual(names, ['init', '  web', '    job', '  other']);
    const { processes } = JSON.parse(ok('ps', 'web/job', '--json'));
    assert.deepEqual(
      processes.map(({ path, comm }: { path: string; comm: string }) => [path, comm]),
      [['web/job', 'sh']],
    );
    assert.match(ok('ps'), /web\/job +sh/);
    assert.deepEqual(JSON.parse(ok('ps', 'other', '--json')).processes, []);
    await guest.end();
  });

  for (const signal of ['TERM', 'KILL']) {
    test(`a created namespace, its objects and their ids outlive an agent that gets SIG${signal}`, async () => {
      ok('create', 'web');
      ok('create', 'inner', '--parent', 'web');
      const script =
        'bpftool map create $P/a type hash key 4 value 4 entries 1 name a; bpftool map create $P/b type hash key 4 value 4 entries 1 name b; rm $P/a; while bpftool map show id 1; do sleep 0.1; done >/dev/null 2>&1; bpftool -j map list';
      const before = ok('exec', 'web/inner', '--', 'sh', '-ec', script);
      const agent = agentPid();
      assert.ok(agent > 0); // 0 would be the process group of the test
      process.kill(agent, `SIG${signal}`);
      await until(() => agentPid() !== agent, 'the agent still runs');
      assert.deepEqual(paths(), ['init', 'web', 'web/inner'], 'listed without an agent');
      assert.equal(ok('exec', 'web/inner', '--', 'sh', '-c', 'bpftool -j map list'), before);
      assert.notEqual(agentPid(), agent);
      const next = ok(
        'exec',
        'web/inner',
        '--',
        'sh',
        '-ec',
        'bpftool map create $P/c type hash key 4 value 4 entries 1 name c; bpftool -j map list',
      );
      assert.deepEqual(
        JSON.parse(next).map(({ id }: { id: number }) => id),
        [2, 3],
        'the count goes on',
      );
    });
  }
});

describe('a namespace whose tasks are all gone', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('lives while its objects do, is shown as orphaned, can be entered, and goes with them', async (t) => {
    const cgroup = `${cgroup2Mount()}/bpfns-test-${process.pid}`;
    mkdirSync(cgroup);
    t.after(() => rmdirSync(cgroup));
    const env = { P: pinDirectory(), CGROUP: cgroup };
    const { status, stderr } = bpfns(['run', '--name', 'web', '--', guestPath('leave-behind')], { env });
    assert.equal(status, 0, stderr);
    const orphan = summary('web');
    assert.deepEqual([orphan?.tasks, orphan?.orphaned, orphan?.keep], [0, true, false]);
    // A pinned map, a pinned link with its program, and a program attached to a cgroup without a
    // link.
    assert.deepEqual(orphan?.objects, { map: 1, prog: 2, link: 1, btf: 0 });
    for (const kind of ['map', 'prog', 'link']) {
      const inside = JSON.parse(ok('exec', 'web', '--', 'bpftool', '-j', kind, 'list')).map(
        ({ id }: { id: number }) => id,
      );
      const { objects } = JSON.parse(ok(kind, 'list', '--ns', 'web', '--json'));
      assert.deepEqual(
        inside,
        objects.map(({ id }: { id: number }) => id),
      );
      for (const { hostId } of objects) assert.match(ok('who', kind, String(hostId)), /kept alive by (?!a reference)/);
    }
    assert.match(ok('ls'), /web .*orphaned/);
    const refused = bpfns(['rm', 'web', '--objects']);
    assert.match(refused.stderr, /use --yes/);
    assert.match(ok('rm', 'web'), /ends when these are gone/);
    assert.match(ok('rm', 'web', '--objects', '--yes'), /unpinned .*map/);
    await until(() => !paths().includes('web'), 'the orphan is still there');
  });

  test('is told of with what keeps it, and with the number of objects beyond the first twenty', async () => {
    const guest = await start([bpfnsPath, 'run', '--name', 'many', '--', guestPath('busy'), '30']);
    const lines = ok('rm', 'many', '--objects', '--yes').trimEnd().split('\n');
    await guest.end();
    assert.equal(lines.filter((line) => /^ {2}map \d+: a file descriptor of busy\[\d+\]$/.test(line)).length, 20);
    assert.match(lines.at(-1) ?? '', /^ {2}and 11 more: see 'bpfns map list --ns many', /);
  });

  test('with a child that has tasks it stays, and is not orphaned', async () => {
    // The input outlives the parent. The child exits when the input ends.
    const start = `${bpfnsPath} run --name top -- ${guestPath('nest')} leave-a-child; exec cat`;
    const guest = new Guest(['sh', '-c', start]);
    await guest.printed('left');
    await until(() => summary('top')?.tasks === 0, 'the parent has not ended');
    assert.equal(summary('top')?.orphaned, false);
    await guest.end();
    await until(() => !paths().includes('top'), 'the namespaces stay without tasks');
  });
});
