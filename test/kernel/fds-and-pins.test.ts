/** Objects from outside, by fd or by pin, and pins with unusual paths. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { before, describe, test } from 'node:test';
import { hasFeature } from '../support/features.js';
import {
  agentsOf,
  asContainerUser,
  bpfns,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  pinDirectory,
  run,
  runDir,
  skipReason,
  start,
  startInNamespace,
} from '../support/host.js';

const objGet = guestPath('obj-get');

describe('objects from outside', { skip: skipReason }, () => {
  const directory = mkdtempSync(`${tmpdir()}/bpfns-`);
  const socket = `${directory}/socket`;
  let pin: string;
  leavesNothingBehind(() => rmSync(directory, { recursive: true }));
  before(() => {
    pin = `${pinDirectory()}/outside`;
    run(['chmod', '755', directory]);
    run(['bpftool', 'map', 'create', pin, 'type', 'array', 'key', '4', 'value', '4', 'entries', '1', 'name', 'out']);
    run(['chown', '65534', pin]);
  });

  test('an fd received over SCM_RIGHTS works and shows id 0, whatever it is', async () => {
    await start([guestPath('scm'), 'give', socket]);
    const { stdout, stderr } = inNamespace(`exec ${guestPath('scm')} take ${socket}`);
    assert.equal(stderr, '');
    assert.equal(stdout, "value 42\nmap 0\nprog 0\nlink 0\nbtf 0\nthe program's maps: 1, the first is 0\n");
  });

  test('a pin from outside cannot be opened', () => {
    assert.equal(inNamespace(`${objGet} ${pin}`).stdout, 'EPERM\n');
  });

  test('a pin from outside can be opened with --pins=any, and shows id 0', () => {
    const { stdout } = inNamespace(`${objGet} ${pin}; bpftool -j map show pinned ${pin}`, { args: ['--pins=any'] });
    assert.match(stdout, /^ok, lookup ok, update ok\n\{"id":0,/);
  });

  test('natively the same user may open it', () => {
    assert.equal(run([...asContainerUser, objGet, pin]).stdout, 'ok, lookup ok, update ok\n');
  });
});

const knowsPathFd = hasFeature('BPF_F_PATH_FD');

/**
 * The objects that {@link lay} creates, and how each is opened: [what it shows, arguments, the
 * kernel's answer].
 */
const asUser: ReadonlyArray<readonly [what: string, args: string, answer: RegExp]> = [
  ['an absolute path', '$P/map', /^ok, lookup ok, update ok$/],
  ['a relative path', '-d $P map', /^ok/],
  ['a relative path with ..', '-d $P/open ../map', /^ok/],
  ['a symlink', '$T/link', /^ok/],
  ['a symlink to a symlink', '$T/link2', /^ok/],
  ['a symlink that is a circle', '$T/circle', /^ELOOP$/],
  ['a symlink to nowhere', '$T/nowhere', /^ENOENT$/],
  ['a relative path from an fd', '-f $P map', knowsPathFd ? /^ok/ : /^EINVAL$/],
  ['an absolute path beside an fd', '-f /proc $P/map', knowsPathFd ? /^ok/ : /^EINVAL$/],
  ['a path_fd without its flag', '-n $P/map', /^EINVAL$/],
  ['a path by way of /proc/self/cwd', '-d $P /proc/self/cwd/map', /^ok/],
  ['a path by way of /proc/thread-self/root', '/proc/thread-self/root$P/map', /^ok/],
  ['a path by way of /proc/self/fd', '-p $P/map', /^ok/],
  ['a path that does not exist', '$P/none', /^ENOENT$/],
  ['a path through something that is no directory', '$P/map/x', /^ENOTDIR$/],
  ['a directory', '$P', /^E/],
  ['a regular file', '$T/file', /^E/],
  ['a slash behind the name', '$P/map/', /^ENOTDIR$/],
  ['an empty path', "''", /^ENOENT$/],
  ['a null pointer', '@null', /^EFAULT$/],
  ['an unmapped pointer', '@unmapped', /^EFAULT$/],
  ['a path longer than PATH_MAX', '@endless', /^ENAMETOOLONG$/],
  ['a name longer than NAME_MAX', `$P/${'n'.repeat(300)}`, /^ENAMETOOLONG$/],
  ['a path that ends with the last mapped byte', '@edge:$P/map', /^ok/],
  ['a directory without search permission', '$P/closed/map', /^EACCES$/],
  ['a pin without any permission', '$P/nobody', /^EACCES$/],
  ['a pin that may only be read', '$P/readable', /^EACCES$/],
  ['a pin that may only be read, read-only', '-r $P/readable', /^ok, lookup ok, update EPERM$/],
  ['a pin that may only be written, write-only', '-w $P/writable', /^ok, lookup EPERM, update ok$/],
  ['BPF_F_RDONLY', '-r $P/map', /^ok, lookup ok, update EPERM$/],
  ['BPF_F_WRONLY', '-w $P/map', /^ok, lookup EPERM, update ok$/],
  ['both of them', '-r -w $P/map', /^EINVAL$/],
  ['both of them, and a bad path', '-r -w @unmapped', /^EINVAL$/],
  ['an unknown flag', '-x $P/map', /^EINVAL$/],
  ['an unknown flag, and a bad path', '-x @unmapped', /^EINVAL$/],
  ['a program, read-only', '-r $P/prog', /^ok/],
];

/** The part that needs root: $C is a root directory with the pins at /b, a /proc and nothing else. */
const asRoot: typeof asUser = [
  ['chroot', '-c $C /b/map', /^ok/],
  ['chroot, a relative path', '-c $C -d /b map', /^ok/],
  ['chroot, .. at its top', '-c $C ../../b/map', /^ok/],
  ['chroot, a path outside', '-c $C $P/map', /^ENOENT$/],
  ['chroot, /proc/self/root stays inside', '-c $C /proc/self/root$P/map', /^ENOENT$/],
  ['chroot, an absolute symlink stays inside', '-c $C /link', /^ok/],
  ['another effective user', '-u 65533 $P/map', /^EACCES$/],
  ["root's own override of permissions", '$P/nobody', /^ok/],
];

/** The part for the container user: the pins of {@link asUser}. */
const lay = `
  bpftool map create $P/map type array key 4 value 4 entries 1 name m
  chmod 600 $P/map
  for name in nobody:000 readable:400 writable:200; do
    bpftool map pin id 1 $P/\${name%:*}
    chmod \${name#*:} $P/\${name%:*}
  done
  mkdir $P/open $P/closed
  bpftool map pin id 1 $P/closed/map
  chmod 000 $P/closed
  ${guestPath('objects')} bpftool prog pin name count $P/prog
`;

function scriptOf(cases: typeof asUser): string {
  return cases.map(([, args]) => `${objGet} ${args} 2>&1`).join('\n');
}

describe('pins of the namespace itself', { skip: skipReason }, () => {
  const T = mkdtempSync(`${tmpdir()}/bpfns-`);
  const C = `${T}/root`;
  let env: { P: string; T: string; C: string };
  let inside: string[];
  let insideAsRoot: string[];

  leavesNothingBehind(() => {
    run(['umount', `${C}/b`, `${C}/proc`]);
    run(['chmod', '755', `${env.P}/closed`]);
    rmSync(T, { recursive: true });
  });
  before(async () => {
    const P = pinDirectory();
    env = { P, T, C };
    run(['chmod', '755', T]);
    for (const directory of [C, `${C}/b`, `${C}/proc`]) mkdirSync(directory);
    symlinkSync('/b/map', `${C}/link`);
    symlinkSync(`${P}/map`, `${T}/link`);
    symlinkSync('link', `${T}/link2`);
    symlinkSync('circle', `${T}/circle`);
    symlinkSync('nothing', `${T}/nowhere`);
    writeFileSync(`${T}/file`, '');
    run(['mount', '--bind', P, `${C}/b`]);
    run(['mount', '--bind', '/proc', `${C}/proc`]);
    const guest = await startInNamespace(
      `${lay}\n echo inside\n${scriptOf(asUser)}\necho ready; read -r _ || true`,
      [],
      env,
    );
    inside = between(guest.output(), 'inside', 'ready');
    // Root opens any pin with --pins=any, so the namespace does not interfere.
    const rooted = bpfns(['run', '--pins=any', '--', 'sh', '-ec', scriptOf(asRoot)], { env });
    insideAsRoot = rooted.stdout.trimEnd().split('\n');
  });

  asUser.forEach(([what, args, answer], i) => {
    test(what, () => {
      const native = run([...asContainerUser, 'sh', '-c', `${objGet} ${args}`], { env }).stdout.trimEnd();
      assert.match(native, answer);
      assert.equal(inside[i], native);
    });
  });

  asRoot.forEach(([what, args, answer], i) => {
    test(`as root: ${what}`, () => {
      const native = run(['sh', '-c', `${objGet} ${args}`], { env }).stdout.trimEnd();
      assert.match(native, answer);
      assert.equal(insideAsRoot[i], native);
    });
  });

  // A known difference: the agent follows only those links of procfs that are clearly the caller's
  // own.
  test("a link of procfs that another path leads to is refused, never taken for the agent's own", () => {
    for (const path of [`/proc/self/task/../cwd/map`, `/proc/${agentsOf(runDir)[0]}/root${env.P}/map`]) {
      const command = [objGet, '-d', env.P, path];
      assert.match(run(command).stdout, /^ok/);
      assert.equal(bpfns(['run', '--pins=any', '--', ...command]).stdout, 'ELOOP\n');
    }
  });

  test('a bpffs of a private mount namespace', () => {
    const { stdout, stderr } = bpfns([
      'run',
      '--',
      'unshare',
      '-m',
      'sh',
      '-ec',
      `mount -t bpf bpf /mnt
       bpftool map create /mnt/m type array key 4 value 4 entries 1 name m
       ${objGet} /mnt/m
       ${objGet} -d /mnt m
       rm /mnt/m`,
    ]);
    assert.equal(stderr, '');
    assert.equal(stdout, 'ok, lookup ok, update ok\nok, lookup ok, update ok\n');
  });
});

function between(text: string, from: string, to: string): string[] {
  const lines = text.split('\n');
  return lines.slice(lines.indexOf(from) + 1, lines.indexOf(to));
}
