/** `bpfns run` becomes the command: what it passes on, and what it returns when it fails. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import {
  agentsOf,
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  limited,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { times } from '../support/slowness.js';

const bpfnsRun = [bpfnsPath, 'run', '--'];
const shell = (script: string): string[] => ['bash', '-c', `${script}; exec "$@"`, 'bash'];
/** Perl does not change bytes and signals; a shell does. */
const perl = (script: string): string[] => ['perl', '-e', `${script}; exec { $ARGV[0] } @ARGV or die $!`, '--'];

/** A way to start a process: the command that prepares it. */
const circumstances: ReadonlyArray<readonly [what: string, prefix: readonly string[], args?: readonly string[]]> = [
  ['nothing in particular', []],
  ['fds 3, 10, 20 and 200', shell('exec 3</etc/passwd 10>>/dev/null 20<>/dev/zero 200</')],
  ['fds 0 to 2 closed', shell('exec <&- >&- 2>&-')],
  ['stdin closed', shell('exec <&-')],
  ['a pipe', perl('$^F = 255; pipe R, W')],
  [
    'sockets in the manner of LISTEN_FDS',
    perl('use Socket; $^F = 255; socketpair A, B, AF_UNIX, SOCK_STREAM, 0; $ENV{LISTEN_FDS} = 2'),
  ],
  ['SIGHUP ignored by nohup', ['nohup']],
  ['SIGINT, SIGQUIT, SIGPIPE and a real-time signal ignored', perl('$SIG{$_} = "IGNORE" for qw(INT QUIT PIPE NUM40)')],
  ['SIGPIPE not ignored', perl('$SIG{PIPE} = "DEFAULT"')],
  ['signals blocked', ['env', '--block-signal=TERM,USR1,USR2,CHLD']],
  ['a soft fd limit below the hard one', ['prlimit', '--nofile=300:4000']],
  ['other limits', ['prlimit', '--core=0', '--nproc=5000', '--stack=4194304']],
  ['a umask', shell('umask 0027')],
  ['a nice value', ['nice', '-n', '7']],
  ['a CPU affinity', ['taskset', '1']],
  ['a session of its own', ['setsid', '--wait']],
  ['another directory', shell('cd /usr/lib')],
  ['a deleted directory', shell('mkdir /tmp/bpfns-test-gone; cd /tmp/bpfns-test-gone; rmdir $PWD')],
  ['variables whose names no shell takes', ['env', 'a.b=1', 'BASH_FUNC_f%%=() { :; }', '1x=', '=y', 'a-b=c']],
  [
    'variables that the launcher uses',
    ['env', 'self=1', 'lib=2', 'fds=3', 'key=4', 'value=5', 'IFS=/', 'BPFNS_NOTED=7'],
  ],
  ['a PWD that is wrong', ['env', 'PWD=/nowhere', 'OLDPWD=/neither']],
  ['variables that Node obeys', ['env', 'NODE_OPTIONS=--no-such', 'NODE_DEBUG=fs', 'OPENSSL_CONF=/nowhere']],
  ['variables of bpfns itself', ['env', 'BPFNS_LINGER_MS=300', 'BPFNS_UNKNOWN=1']],
  ['variables that are not UTF-8', perl('$ENV{"\\xff\\xfe"} = "\\x80\\n\\xc3"')],
  ['a large environment', perl('$ENV{"V$_"} = "v" x 60000 for 1 .. 8')],
  ['hardly any environment', perl('%ENV = map { $_, $ENV{$_} } qw(PATH REPORT BPFNS_RUN_DIR)')],
  [
    'arguments with every byte, and empty ones',
    perl('push @ARGV, "", "*", "a b", "--", "-n", join("", map chr, 1 .. 255), ""'),
  ],
  ['options of its own', [], ['--name', '-h', '--', '--help']],
];

/** Inode numbers, and what only dash prints (it looks up its directory before the first line of a script). */
function comparable(text: string): string {
  return text
    .replace(/(pipe|socket):\[\d+\]/g, '$1')
    .replaceAll('sh: 0: getcwd() failed: No such file or directory\n', '');
}

/** The lines that only one side has, so that a failure shows only the difference. */
function differences(native: readonly string[], inside: readonly string[]): string[] {
  const lacking = native.filter((line) => !inside.includes(line)).map((line) => `native only: ${line}`);
  const added = inside.filter((line) => !native.includes(line)).map((line) => `inside only: ${line}`);
  return native.length === inside.length || lacking.length + added.length > 0
    ? [...lacking, ...added]
    : [`${native.length} lines natively, ${inside.length} inside`];
}

describe('bpfns run hands on', { skip: skipReason }, () => {
  leavesNothingBehind();
  const directory = mkdtempSync('/tmp/bpfns-test-');
  after(() => rmSync(directory, { recursive: true }));

  /** What the guest finds, and its output. */
  const started = (prefix: readonly string[], launcher: readonly string[], args: readonly string[]): string[] => {
    const report = `${directory}/report`;
    writeFileSync(report, '');
    const command = [...prefix, ...launcher, guestPath('inherited'), ...args];
    const { status, stdout, stderr } = run(command, { env: { REPORT: report } });
    const all = `status ${status}\n${readFileSync(report, 'latin1')}stdout ${stdout}\nstderr ${stderr}`;
    return comparable(all).split('\n');
  };

  for (const [what, prefix, args = []] of circumstances) {
    test(what, () => {
      const native = started(prefix, [], args);
      assert.ok(
        native.some((line) => line.startsWith('status: CapEff')),
        native.join('\n'),
      );
      assert.deepEqual(differences(native, started(prefix, bpfnsRun, args)), []);
    });
  }

  test('the process id', () => {
    const { stdout } = run(['sh', '-c', `echo $$; exec "$@" sh -c 'echo $$'`, 'sh', ...bpfnsRun]);
    const [before, inside] = stdout.split('\n');
    assert.equal(inside, before);
  });

  test('standard input, output and error', () => {
    const outcome = bpfns(['run', '--', 'sh', '-c', 'cat; echo err >&2'], { input: 'in\n' });
    assert.deepEqual(outcome, { status: 0, stdout: 'in\n', stderr: 'err\n' });
  });
});

describe('bpfns run answers', { skip: skipReason }, () => {
  leavesNothingBehind();

  const statuses: ReadonlyArray<readonly [what: string, status: number, command: readonly string[], message: RegExp]> =
    [
      ["the command's status", 7, [...bpfnsRun, 'sh', '-c', 'exit 7'], /^$/],
      ['128 + the signal that ended it', 128 + 9, [...bpfnsRun, 'sh', '-c', 'kill -KILL $$'], /^$/],
      ['SIGPIPE ends it', 128 + 13, [...bpfnsRun, 'sh', '-c', 'kill -PIPE $$'], /^$/],
      ['127: not found', 127, [...bpfnsRun, 'no-such-command'], /^bpfns: cannot run 'no-such-command': ENOENT\n$/],
      ['127: no such path', 127, [...bpfnsRun, '/no/such'], /^bpfns: cannot run '\/no\/such': ENOENT\n$/],
      ['126: not executable', 126, [...bpfnsRun, '/etc/passwd'], /^bpfns: cannot run '\/etc\/passwd': EACCES\n$/],
      ['126: a directory', 126, [...bpfnsRun, '/etc'], /^bpfns: cannot run '\/etc': EACCES\n$/],
      ['125: unknown option', 125, [bpfnsPath, 'run', '--bad', 'true'], /^error: unknown option '--bad'\n/],
      ['125: no command', 125, [bpfnsPath, 'run'], /^error: missing required argument 'command'\n/],
      ['125: --pins', 125, [bpfnsPath, 'run', '--pins=some', 'true'], /^error: .*Allowed choices are own, any\.\n/],
      [
        '125: bad name',
        125,
        [bpfnsPath, 'run', '--name', 'a b', 'true'],
        /^bpfns: cannot call a namespace 'a b': .*\n$/,
      ],
      [
        '125: not root',
        125,
        [...asContainerUser, ...bpfnsRun, 'true'],
        /^bpfns: outside a namespace this needs root, or \[\[users\]\] in bpfns.conf\(5\): .*EPERM\n$/,
      ],
      [
        '125: no CAP_SYS_ADMIN',
        125,
        ['setpriv', '--bounding-set=-sys_admin', ...bpfnsRun, 'true'],
        /^bpfns: (cannot put the seccomp filter in place .*EACCES|the agent cannot start: .*EPERM)\n$/,
      ],
    ];
  for (const [what, status, command, message] of statuses) {
    test(what, () => {
      const outcome = run(command);
      assert.equal(outcome.status, status, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.equal(outcome.stdout, '');
    });
  }

  test('125: a name that is taken, and only while it is', async () => {
    const first = spawn(bpfnsPath, ['run', '--name', 'taken', '--', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    first.stdin.write('x');
    await new Promise((resolve) => first.stdout.once('data', resolve));
    const { status, stderr } = bpfns(['run', '--name', 'taken', 'true']);
    assert.deepEqual([status, stderr], [125, "bpfns: there is a namespace 'taken' already: create: EEXIST\n"]);
    first.stdin.end();
    await new Promise((resolve) => first.once('exit', resolve));
    assert.equal(bpfns(['run', '--name', 'taken', 'true']).status, 0);
  });
});

const AT_ONCE = Math.max(4, times(10));

describe(`bpfns run started ${AT_ONCE} times at once, with no agent there`, { skip: skipReason }, () => {
  leavesNothingBehind();

  test('makes as many namespaces and one agent', async () => {
    const guests = Array.from({ length: AT_ONCE }, () =>
      spawn('timeout', limited(300, [...bpfnsRun, 'cat']), { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const answers = guests.map(async (guest) => {
      guest.stdin.write('here');
      return String(await new Promise((resolve) => guest.stdout.once('data', resolve)));
    });
    assert.deepEqual(await Promise.all(answers), Array(AT_ONCE).fill('here'));
    await until(() => agentsOf(runDir ?? '').length === 1, 'more than one agent');
    const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout) as { namespaces: unknown[] };
    assert.equal(namespaces.length, AT_ONCE + 1); // and init
    for (const guest of guests) guest.stdin.end();
    const statuses = guests.map((guest) => new Promise((resolve) => guest.once('exit', resolve)));
    assert.deepEqual(await Promise.all(statuses), Array(AT_ONCE).fill(0));
  });
});
