/** Namespaces that programs create: clone3(2) and unshare(2) with the flag of the RFC (its section 3). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lacking } from '../support/features.js';
import { Guest } from '../support/guest.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  run,
  skipReason,
  until,
} from '../support/host.js';

/** Why the tests of clone3 with the flag cannot run here, if they cannot. */
const skip = lacking('a clone3 whose bit 34 is free');

const users = { root: [], 'the container user': asContainerUser } as const;

/** Runs test/guests/nest.c in a new namespace. @returns the lines that it prints */
function nest(way: string, options: { as?: readonly string[]; args?: readonly string[] } = {}): string[] {
  const command = [...(options.as ?? []), guestPath('nest'), ...way.split(' ')];
  const { status, stdout, stderr } = bpfns(['run', ...(options.args ?? []), '--', ...command]);
  assert.equal(status, 0, stderr);
  return stdout.trimEnd().split('\n');
}

function namespaceIds(): number[] {
  return JSON.parse(bpfns(['ls', '--json']).stdout).namespaces.map(({ id }: { id: number }) => id);
}

for (const [user, as] of Object.entries(users)) {
  describe(`a program written for the RFC's kernel, run by ${user}`, { skip: skipReason }, () => {
    leavesNothingBehind();

    test('passes unchanged', { skip }, () => {
      const { status, stderr } = bpfns(['run', '--', ...as, guestPath('rfc')]);
      assert.deepEqual([status, stderr], [0, '']);
    });

    test('clone3 with the flag gives the child a namespace of its own', { skip }, () => {
      assert.deepEqual(nest('clone3', { as }), ['caller 1', 'clone3 1']);
    });

    test('unshare with the flag moves the caller: held objects have id 0, new ones start at 1, children follow', () => {
      assert.deepEqual(nest('unshare', { as }), ['caller 1', 'unshare 0', 'held before 0', 'map 1', 'fork 2']);
    });
  });
}

describe('nesting', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('unshare moves the calling thread alone; what it makes counts in the namespace above too', () => {
    assert.deepEqual(nest('unshare-in-thread'), ['caller 1', 'unshare 0', 'thread 1', 'leader 3']);
  });

  test("the C header's call moves the caller, with a name", async () => {
    const guest = Guest.bpfns([
      'run',
      '--name',
      'outer',
      '--',
      ...asContainerUser,
      guestPath('nest'),
      'own-command',
      'inner',
    ]);
    await guest.printed('ready');
    assert.deepEqual(guest.lines, ['caller 1', 'new namespace entered', 'held before 0', 'map 1', 'ready']);
    const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
    assert.ok(namespaces.some(({ path }: { path: string }) => path === 'outer/inner'));
    assert.equal(await guest.end(), 0);
  });

  test("outside a namespace the C header's call is EINVAL", () => {
    assert.match(run([guestPath('nest'), 'own-command']).stdout, /^new namespace EINVAL$/m);
  });

  test('legacy clone ignores the flag', () => {
    assert.deepEqual(nest('legacy-clone'), ['caller 1', 'clone 2']);
  });

  test('the other flags and the exit signal of the same clone3 are kept', { skip }, () => {
    assert.deepEqual(nest('keep-flags').sort(), [
      'caller 1',
      'clone3 1',
      'exit signal SIGUSR1',
      'host name kept',
      'pidfd of the child',
    ]);
  });

  test("fork, vfork, posix_spawn, pthread_create and clone3 without the flag stay in the caller's namespace", () => {
    assert.deepEqual(nest('libc'), ['caller 1', 'fork 2', 'vfork 3', 'spawn 4', 'thread 5', 'clone3 6']);
  });

  test('a clone3 that the kernel refuses leaves no mark on the next child, however it is made', { skip }, () => {
    const refused = ['short EINVAL', 'long E2BIG', 'flags EINVAL'];
    const children = ['fork 2', 'clone 3', 'clone3 4', 'spawn 5', 'thread 6', 'clone3 1'];
    assert.deepEqual(nest('after-failure'), ['caller 1', ...children.flatMap((child) => [...refused, child])]);
  });

  test('the namespace of a clone3 that failed is collected while the caller lives on', { skip }, async () => {
    const before = namespaceIds();
    const guest = Guest.bpfns(['run', '--', 'sh', '-c', `${guestPath('nest')} failing-and-wait`]);
    await guest.printed('EINVAL 1');
    // Namespaces of earlier tests may end meanwhile.
    const added = (): number[] => namespaceIds().filter((id) => !before.includes(id));
    await until(() => added().length === 1, 'the unused namespace is still there');
    assert.equal(await guest.end(), 0);
  });

  test('--no-nesting leaves it to the kernel, which knows no such flag', { skip }, () => {
    assert.deepEqual(nest('clone3', { args: ['--no-nesting'] }), ['caller 1', 'error EINVAL']);
    assert.deepEqual(
      new Set(nest('errors', { args: ['--no-nesting'] }).map((line) => line.split(': ')[1])),
      new Set(['EINVAL']),
    );
  });
});

describe('errors of making a namespace', { skip: skipReason }, () => {
  leavesNothingBehind();

  const withoutCapabilities = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--reuid=65534', '--clear-groups'];
  const onlyBpf = [
    ...asContainerUser.slice(0, 4),
    '--bounding-set=-all,+bpf',
    '--inh-caps=-all,+bpf',
    '--ambient-caps=-all,+bpf',
  ];
  const invalid = ['clone3 with NEWUSER', 'unshare with NEWUSER', 'unshare with NEWNS', 'unshare with an unknown flag'];
  const cases = [
    { title: 'root may', as: [], way: 'errors', plain: 'works' },
    { title: 'CAP_BPF suffices', as: onlyBpf, way: 'errors', plain: 'works' },
    { title: 'without it: EPERM', as: withoutCapabilities, way: 'errors', plain: 'EPERM' },
    {
      title: 'as in any user namespace, the capability there suffices',
      as: withoutCapabilities,
      way: 'errors-in-userns',
      plain: 'works',
    },
  ];
  for (const { title, as, way, plain } of cases) {
    test(`${title}; together with CLONE_NEWUSER, and in unshare with anything: EINVAL`, () => {
      const expected = [`clone3: ${plain}`, `unshare: ${plain}`, ...invalid.map((what) => `${what}: EINVAL`)];
      const counts = (line: string): boolean => !skip || line.startsWith('unshare');
      assert.deepEqual(nest(way, { as }).filter(counts).sort(), expected.filter(counts).sort());
    });
  }

  test('from a user namespace that is neither the owner nor below it: EINVAL', async () => {
    const owner = Guest.bpfns(['run', '--', 'unshare', '--user', '--map-root-user', guestPath('nest'), 'hold']);
    await owner.printed('held');
    const [pid = ''] = owner.lines;
    const { stdout } = bpfns(['exec', `pid:${pid}`, '--', guestPath('nest'), 'errors']);
    assert.match(stdout, /^unshare: EINVAL$/m);
    assert.equal(await owner.end(), 0);
  });
});

describe('bpfns run inside a namespace', { skip: skipReason }, () => {
  leavesNothingBehind();

  test("an unprivileged user's makes a child; with a name it is found by its path", async () => {
    const inner = `${bpfnsPath} run --name inner -- sh -c 'bpftool map create $P/m type hash key 4 value 4 entries 1 name m; bpftool -j map list; rm $P/m; echo ready; read -r _'`;
    const guest = Guest.bpfns(['run', '--name', 'outer', '--', ...asContainerUser, 'sh', '-c', inner], {
      P: (await import('../support/host.js')).pinDirectory(),
    });
    await guest.printed('ready');
    assert.equal(JSON.parse(guest.lines[0] ?? '')[0].id, 1);
    const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
    assert.deepEqual(
      namespaces.map(({ path }: { path: string }) => path),
      ['init', 'outer', 'outer/inner'],
    );
    await guest.end();
  });

  const inside = (command: string): { status: number; stderr: string } => bpfns(['run', '--', 'sh', '-c', command]);

  test('--pins=any is refused in a child of a namespace that may open its own alone', () => {
    const { status, stderr } = inside(`${bpfnsPath} run --pins=any -- true`);
    assert.equal(status, 125);
    assert.match(stderr, /EPERM/);
    assert.equal(bpfns(['run', '--pins=any', '--', bpfnsPath, 'run', '--pins=any', '--', 'true']).status, 0);
  });

  test('two children of one namespace cannot have one name, and a name is free again when its namespace has ended', () => {
    const again = `${bpfnsPath} run --name a -- true && ${bpfnsPath} run --name a -- true`;
    assert.equal(inside(again).status, 0);
    const { status, stderr } = inside(`
      ${bpfnsPath} run --name a -- ${bpfnsPath} run --name b -- true
      export USED=$(mktemp -u)
      ${bpfnsPath} run --name a -- sh -c 'touch $USED; while [ -e $USED ]; do sleep 0.1; done' &
      until [ -e $USED ]; do sleep 0.1; done
      ${bpfnsPath} run --name a -- true
      status=$?
      rm $USED
      wait
      exit $status`);
    assert.equal(status, 125);
    assert.match(stderr, /EEXIST/);
  });

  for (const args of [
    'run --parent init -- true',
    'exec init -- true',
    'create other',
    'rm init',
    'ls',
    'ps',
    'of 1',
    'map list',
    'who map 1',
  ]) {
    test(`'bpfns ${args}' works only on the host, for root too`, () => {
      const { status, stderr } = inside(`${bpfnsPath} ${args}`);
      assert.notEqual(status, 0);
      assert.match(stderr, /^bpfns: .* works only on the host: this process is in BPF namespace \d+\n$/);
    });
  }

  test("'bpfns of self' tells the namespace, without privileges", () => {
    const { stdout } = inNamespace(`${bpfnsPath} of self; ${bpfnsPath} run --name b -- ${bpfnsPath} of self`, {
      args: ['--name', 'a'],
    });
    assert.match(stdout, /^bpf:\[\d+\] {2}a {2}level 1\nbpf:\[\d+\] {2}b {2}level 2\n$/);
    assert.equal(run([bpfnsPath, 'of', 'self']).stdout, 'bpf:[3119513600]  init  level 0\n');
  });

  for (const [request, code] of Object.entries({
    '{"version":1,"op":"join","namespace":"init","listener":0}': 'EPERM',
    '{"version":1,"op":"create","parent":"init","name":"x","pins":"any","tracing":"host","ownerUid":0,"maxNamespaces":0}':
      'EPERM',
  })) {
    test(`root inside asks the agent itself, ${request}: ${code}`, () => {
      const script = `const s = require('net').connect(process.env.BPFNS_RUN_DIR + '/agent.sock'); s.on('data', (d) => { console.log(String(d)); s.destroy(); }); s.write(process.argv[1] + '\\n')`;
      const { stdout } = bpfns(['run', '--', process.execPath, '-e', script, request]);
      assert.equal(JSON.parse(stdout).error.code, code);
    });
  }
});
