/** Checks the code against the table in ARCHITECTURE.md: which folders exist, and what each may import. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

interface Rule {
  readonly folder: string;
  /** Folders of src, packages, and `node` for its own modules. */
  readonly mayImport: ReadonlySet<string>;
}

/** Rows like: | `src/sys` | what it is | `model`, `koffi` | */
function rules(): Rule[] {
  const text = readFileSync(`${root}ARCHITECTURE.md`, 'utf8');
  return [...text.matchAll(/^\| `src\/(\w+)` \|[^|]*\|([^|]*)\|$/gm)].map(([, folder = '', imports = '']) => ({
    folder,
    mayImport: new Set([...imports.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)),
  }));
}

/** Product code only: tests may import anything. */
function sources(folder: string): string[] {
  return readdirSync(`${root}src/${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.test.ts'))
    .map((file) => `src/${folder}/${file}`);
}

/** What a file imports: 'node:fs', 'koffi', or a folder of src. Imports of types count too. */
function imports(file: string): string[] {
  const text = readFileSync(root + file, 'utf8');
  const found = text.matchAll(/\b(?:from|import\(|import|new URL\()\s*'([^']+)'/g);
  return [...found].map(([, name = '']) =>
    name.startsWith('.') ? folderOf(resolve(root, dirname(file), name)) : isBuiltin(name) ? 'node' : name,
  );
}

/** The files of src that a file imports. */
function localImports(file: string): string[] {
  const text = readFileSync(root + file, 'utf8');
  const found = text.matchAll(/\b(?:from|import\(|import)\s*'(\.[^']+)'/g);
  return [...found].map(([, name = '']) => relative(root, resolve(root, dirname(file), name)).replace(/\.js$/, '.ts'));
}

function folderOf(path: string): string {
  const [top = '', folder = ''] = relative(root, path).split('/');
  return top === 'src' ? folder : top;
}

function isBuiltin(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name);
}

describe('the architecture', () => {
  const table = rules();

  test('ARCHITECTURE.md has a row for every folder of src, and no other', () => {
    const folders = readdirSync(`${root}src`);
    assert.deepEqual(table.map(({ folder }) => folder).sort(), folders.sort());
  });

  for (const { folder, mayImport } of table) {
    const list = [...mayImport].join(', ') || 'nothing';
    test(`src/${folder} imports only ${list}`, () => {
      const strangers = sources(folder).flatMap((file) =>
        imports(file)
          .filter((name) => name !== folder && !mayImport.has(name))
          .map((name) => `${file} imports ${name}`),
      );
      assert.deepEqual(strangers, []);
    });

    test(`src/${folder} needs all that it is allowed`, () => {
      const used = new Set(sources(folder).flatMap(imports));
      assert.deepEqual(
        [...mayImport].filter((name) => !used.has(name)),
        [],
      );
    });
  }

  test('no folder imports one that imports it', () => {
    const reaches = (from: string, wanted: string, seen = new Set<string>()): boolean => {
      if (seen.has(from)) return false;
      seen.add(from);
      const next = table.find(({ folder }) => folder === from)?.mayImport ?? new Set();
      return next.has(wanted) || [...next].some((each) => reaches(each, wanted, seen));
    };
    assert.deepEqual(
      table.map(({ folder }) => folder).filter((folder) => reaches(folder, folder)),
      [],
    );
  });

  test('no file imports one that imports it, types included', () => {
    const all = table.flatMap(({ folder }) => sources(folder));
    const next = new Map(all.map((file) => [file, localImports(file)]));
    const finished = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (finished.has(file) || path.includes(file)) return;
      for (const each of next.get(file) ?? []) visit(each, [...path, file]);
      finished.add(file);
    };
    for (const file of all) visit(file, []);
    assert.deepEqual(cycles, []);
  });

  test('a file above 300 lines says why', () => {
    const long = table
      .flatMap(({ folder }) => sources(folder))
      .filter((file) => !file.endsWith('.gen.ts'))
      .map((file) => ({ file, text: readFileSync(root + file, 'utf8') }))
      .filter(({ text }) => text.split('\n').length > 301 && !/Long because/.test(text));
    assert.deepEqual(
      long.map(({ file }) => file),
      [],
    );
  });

  test('only src/calls/caller.ts finds a caller by its thread id', () => {
    const others = ['calls', 'agent', 'telemetry', 'supervisor']
      .flatMap(sources)
      .filter(
        (file) => file !== 'src/calls/caller.ts' && /\.tid\b|\/proc\/\$\{/.test(readFileSync(root + file, 'utf8')),
      );
    assert.deepEqual(others, []);
  });

  test('only src/sys reaches the kernel by foreign functions', () => {
    assert.deepEqual(
      table.filter(({ mayImport }) => mayImport.has('koffi')).map(({ folder }) => folder),
      ['sys'],
    );
  });

  test('the model is pure: it imports not even Node', () => {
    assert.deepEqual([...(table.find(({ folder }) => folder === 'model')?.mayImport ?? ['missing'])], []);
  });

  test('every trapped command has its row in the table of commands, and only those', async () => {
    const { tracingCommands, trappedCommands } = await import('../src/filter/trapped.js');
    const { commands } = await import('../src/calls/commands/index.js');
    assert.deepEqual(
      Object.keys(commands),
      [...trappedCommands, ...tracingCommands].map(String).sort((a, b) => Number(a) - Number(b)),
    );
  });
});
