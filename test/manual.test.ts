/** The manual, the completion and the installation agree with the commands there are. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { program } from '../src/cli/program.js';
import { commandsOf, nameOf } from '../tools/completion/commands.js';
import { completion, fillIn } from '../tools/gen-cli.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = fillIn(read('man/bpfns.8.md'));
const commands = commandsOf(program());

/** The part of the page that is about one command. */
function sectionOf(name: string): string {
  return new RegExp(`^## ${name} (?:.|\n)*?(?=^##? )`, 'm').exec(page)?.[0] ?? '';
}

describe('bpfns(8)', () => {
  for (const command of commands) {
    test(`'${nameOf(command)}' has a section with its operands, options and their defaults`, () => {
      const section = sectionOf(nameOf(command));
      for (const argument of command.registeredArguments) assert.match(section, new RegExp(`\\*${argument.name()}\\*`));
      for (const { long, short } of command.options) {
        assert.ok(section.includes(`**${long}**`), `${long} is missing`);
        if (short) assert.ok(section.includes(`**${short}**`), `${short} is missing`);
      }
      const options = [...section.matchAll(/^(?:\*\*-\w\*\*, )?\*\*(--[\w-]+)\*\*/gm)].map(([, long]) => long);
      assert.deepEqual(
        options,
        command.options.map(({ long }) => long),
        'none but these',
      );
    });
  }

  test('every command of the synopsis exists, and every command is in it', () => {
    const synopsis = /# SYNOPSIS\n([^#]*)/.exec(page)?.[1] ?? '';
    const words = new Set([...synopsis.matchAll(/[a-z-]+/g)].map(([word]) => word));
    for (const command of commands) assert.ok(words.has(nameOf(command).split(' ')[1] ?? ''), nameOf(command));
  });

  test('every setting of the environment that is read is described, and no other', () => {
    const described = new Set([...page.matchAll(/^\*\*(BPFNS_\w+)\*\*$/gm)].map(([, name]) => name));
    const internal = ['BPFNS_INHERITED', 'BPFNS_NODE_OPTIONS', 'BPFNS_TRACK_FDS'];
    const sources = spawnSync(
      'grep',
      ['-rhoE', '--exclude=*.test.ts', 'process\\.env\\.BPFNS_\\w+', join(root, 'src')],
      { encoding: 'utf8' },
    );
    const used = new Set(
      sources.stdout
        .trim()
        .split('\n')
        .map((line) => line.replace('process.env.', '')),
    );
    for (const name of internal) used.delete(name);
    assert.deepEqual(described, used);
  });
});

describe('bpf_namespaces(7)', () => {
  const text = read('man/bpf_namespaces.7.md');

  for (const heading of [
    '# NAME',
    '# DESCRIPTION',
    '## What is isolated',
    '## What is not isolated',
    '## Capabilities',
    '## Nesting',
    '## Pins',
    '## Lifetime',
    '## Limits',
    '# ERRORS',
    '# EXAMPLES',
  ]) {
    test(`has '${heading}'`, () => assert.ok(text.includes(`${heading}\n`)));
  }

  test('its example compiles without a warning', () => {
    const start = text.indexOf('    #define');
    const indented = text.slice(start, text.indexOf('    # bpfns run', start));
    const source = indented.replace(/^ {4}/gm, '');
    assert.match(source, /int main/);
    const { status, stderr } = spawnSync('cc', ['-Wall', '-Wextra', '-Werror', '-x', 'c', '-fsyntax-only', '-'], {
      input: source,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
});

const scratch = mkdtempSync(join(tmpdir(), 'bpfns-manual-'));
process.on('exit', () => rmSync(scratch, { recursive: true }));
const env = { ...process.env, HOME: scratch, PATH: `${root}bin:${process.env.PATH}`, BPFNS_RUN_DIR: '/nonexistent' };

/** What a script of a shell prints, a line each, that gets the file with the completion and a command line's words. */
function ask(shell: 'bash' | 'zsh' | 'fish', command: readonly string[], words: readonly string[]): string[] {
  writeFileSync(join(scratch, `_${shell}`), completion(shell));
  const { stdout, stderr } = spawnSync(shell, [...command, ...words], { encoding: 'utf8', env, timeout: 20_000 });
  assert.equal(stderr, '');
  return stdout.split(/\r?\n/).filter((line) => line !== '');
}

const bashScript = `source $0; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bpfns; printf '%s\\n' "$\{COMPREPLY[@]}"`;
/** What each shell offers for a command line whose last word is being typed. */
const shells: Readonly<Record<'bash' | 'zsh' | 'fish', (...words: string[]) => string[]>> = {
  bash: (...words) => ask('bash', ['-c', bashScript, `${scratch}/_bash`, 'bpfns'], words),
  zsh: (...words) =>
    ask('zsh', ['-f', `${root}test/support/complete.zsh`, `${scratch}/_zsh`], [['bpfns', ...words].join(' ')]).flatMap(
      (line) => /OFFERED:(.*)$/.exec(line)?.[1] ?? [],
    ),
  fish: (...words) =>
    ask('fish', ['-c', 'source $argv[1]; complete -C "$argv[2..]"', `${scratch}/_fish`, 'bpfns'], words).map(
      (line) => line.split('\t')[0] ?? '',
    ),
};

for (const [shell, offered] of Object.entries(shells)) {
  describe(`the completion for ${shell}`, () => {
    test('offers commands, their options, and the values of these', () => {
      assert.deepEqual(offered('cr'), ['create']);
      assert.deepEqual(new Set(offered('ls', '--')), new Set(['--json', '--tree', '--help']));
      assert.deepEqual(offered('run', '--pins', '').sort(), ['any', 'own']);
      assert.deepEqual(offered('map', ''), ['list']);
      assert.deepEqual(offered('who', 'p'), ['prog']);
    });

    test('offers the namespaces there are', () => {
      assert.deepEqual(offered('exec', 'in'), ['init']);
      assert.deepEqual(offered('create', '--parent', ''), ['init']);
    });
  });
}

describe('make install', () => {
  test('puts a program that works, the pages and the completions below DESTDIR', (t) => {
    const destination = mkdtempSync(join(tmpdir(), 'bpfns-install-'));
    t.after(() => rmSync(destination, { recursive: true }));
    const { status, stderr } = spawnSync('make', ['-C', root, 'install', `DESTDIR=${destination}`, 'PREFIX=/usr'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const { stdout } = spawnSync(`${destination}/usr/bin/bpfns`, ['of', 'self'], { encoding: 'utf8' });
    assert.match(stdout, /init {2}level 0/, 'it finds its library, and the C library through it');
    for (const file of [
      'share/man/man8/bpfns.8',
      'share/man/man7/bpf_namespaces.7',
      'share/bash-completion/completions/bpfns',
      'share/zsh/vendor-completions/_bpfns',
      'share/fish/vendor_completions.d/bpfns.fish',
    ]) {
      assert.ok(readFileSync(`${destination}/usr/${file}`).length > 0);
    }
  });
});
