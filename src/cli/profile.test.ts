/** `bpfns profile`: files, options and what is said. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { trappedCommands } from '../filter/trapped.js';
import { type ProfileFlags, profile } from './profile.js';

const directory = mkdtempSync('/tmp/bpfns-profile-');
after(() => rmSync(directory, { recursive: true }));

/** A base in a file. */
function base(content: unknown): string {
  const path = `${directory}/base.json`;
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const flags: ProfileFlags = {
  base: base({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrno: 'EPERM', syscalls: [] }),
  listener: '/run/bpfns/seccomp.sock',
  metadata: '',
  capAdd: 'bpf,CAP_PERFMON',
  nesting: false,
  stats: true,
  waitKillable: false,
};

describe('bpfns profile', () => {
  test('prints the profile, and says what it changed', () => {
    const said: string[] = [];
    const { listenerPath, defaultErrnoRet, syscalls } = JSON.parse(profile(flags, (line) => said.push(line)));
    assert.equal(listenerPath, '/run/bpfns/seccomp.sock');
    assert.equal(defaultErrnoRet, 1);
    const traps = (syscalls as Array<{ action: string }>).filter(({ action }) => action === 'SCMP_ACT_NOTIFY');
    assert.equal(traps.length, trappedCommands.length);
    assert.match(said.join('\n'), /for a container with CAP_BPF, CAP_PERFMON: 0 of the base's rules hold, 0 do not/);
    assert.match(said.join('\n'), /bpf was the default, SCMP_ACT_ERRNO; now \d+ commands go to/);
  });

  test('writes it to a file, the same each time', () => {
    const output = `${directory}/out.json`;
    assert.equal(
      profile({ ...flags, output }, () => undefined),
      '',
    );
    assert.equal(readFileSync(output, 'utf8'), `${profile(flags, () => undefined)}\n`);
  });

  test('refuses to write through a link', () => {
    const output = `${directory}/link.json`;
    writeFileSync(`${directory}/precious`, 'precious');
    symlinkSync('precious', output);
    assert.throws(() => profile({ ...flags, output }, () => undefined), /link.json: .* no regular file/);
    assert.equal(readFileSync(`${directory}/precious`, 'utf8'), 'precious');
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('link.json')),
      ['link.json'],
    );
  });

  const refused: ReadonlyArray<[what: string, flags: () => Partial<ProfileFlags>, expected: RegExp]> = [
    [
      'a socket by a relative path',
      () => ({ listener: 'seccomp.sock' }),
      /--listener seccomp.sock: not an absolute path/,
    ],
    ['a base that is not there', () => ({ base: '/nonexistent.json' }), /\/nonexistent.json: no such file/],
    ['a base that is no JSON', () => ({ base: base('{') }), /base.json: not JSON/],
    [
      'a base with another agent',
      () => ({ base: base({ defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/run/other.sock' }) }),
      /base.json: the base already has an agent at \/run\/other.sock/,
    ],
    ['an output that cannot be written', () => ({ output: `${directory}/none/out.json` }), /ENOENT.*none\/out.json/],
  ];
  for (const [what, change, expected] of refused) {
    test(`refuses ${what}`, () => {
      assert.throws(() => profile({ ...flags, base: base({ defaultAction: 'X' }), ...change() }, () => undefined), {
        name: 'CliError',
        message: expected,
      });
      assert.ok(!existsSync(`${directory}/none`));
    });
  }
});
