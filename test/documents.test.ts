/** Checks the documents against the repository: the paths that they name exist, and the version is right. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import product from '../package.json' with { type: 'json' };

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** The files below a folder of the repository, by their paths from its top. */
function filesIn(folder: string, recursive = true): string[] {
  return readdirSync(root + folder, { recursive, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const documents = [...filesIn('', false), ...filesIn('docs'), ...filesIn('examples'), ...filesIn('man')].filter(
  (file) => file.endsWith('.md') && file !== 'CHANGELOG.md',
);
const manifests = [...filesIn('examples'), ...filesIn('packaging')];

/** In backticks, or the target of a link from the top folder: `src/sys/bpf.ts`, `test/kernel`. */
const PATH = /`((?:\.github|bench|bpf|docs|examples|man|packaging|src|test|tools)\/[\w./-]*\w)`/g;

describe('the documents', () => {
  for (const document of documents) {
    test(`${document} names only files that exist`, () => {
      const named = [...readFileSync(root + document, 'utf8').matchAll(PATH)].map(([, path = '']) => path);
      assert.deepEqual(
        named.filter((path) => !existsSync(root + path)),
        [],
      );
    });
  }

  test(`bpfns' version is that of package.json wherever it is named`, () => {
    const others = [...documents, ...manifests].flatMap((file) =>
      [...readFileSync(root + file, 'utf8').matchAll(/\bbpfns[ :_-]v?(\d+\.\d+\.\d+)/g)]
        .filter(([, version]) => version !== product.version)
        .map(([text]) => `${file}: ${text}`),
    );
    assert.deepEqual(others, []);
  });
});
