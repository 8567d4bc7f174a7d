/** What is found in a directory that is held, and what is not. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { entriesOf, openDirectoryIn, openFileIn, pathText, removeFrom } from './directory.js';
import { E } from './errno.js';
import { Fd } from './fd.js';
import { O_DIRECTORY, O_RDONLY, open } from './libc.js';

describe('a directory that is held', () => {
  let root: string;
  let held: Fd;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'directory-'));
    mkdirSync(join(root, 'held/inner'), { recursive: true });
    mkdirSync(join(root, 'other'));
    writeFileSync(join(root, 'held/file'), '');
    writeFileSync(join(root, 'other/file'), '');
    symlinkSync('../other', join(root, 'held/link'));
    symlinkSync('../other/file', join(root, 'held/link-to-file'));
    held = new Fd(open(join(root, 'held'), O_RDONLY | O_DIRECTORY));
  });
  after(() => {
    held.close();
    rmSync(root, { recursive: true });
  });

  test('opens what is in it, and follows no link', () => {
    using inner = openDirectoryIn(held, Buffer.from('inner'));
    assert.ok(inner.isOpen);
    assert.equal(openDirectoryIn(held, Buffer.from('link')).number, -E.ELOOP);
    assert.equal(openFileIn(held, Buffer.from('link-to-file')).number, -E.ELOOP);
  });

  test('opens nothing above it', () => {
    assert.equal(openDirectoryIn(held, Buffer.from('..')).number, -E.EXDEV);
    assert.equal(openDirectoryIn(held, Buffer.from('/etc')).number, -E.EXDEV);
  });

  test('opens nothing on another file system', () => {
    using top = new Fd(open('/', O_RDONLY | O_DIRECTORY));
    assert.equal(openDirectoryIn(top, Buffer.from('proc')).number, -E.EXDEV);
  });

  test('is the one it was, wherever its name leads by now', () => {
    renameSync(join(root, 'held'), join(root, 'moved'));
    symlinkSync('other', join(root, 'held'));
    const names = (): string[] => entriesOf(held).map(({ name }) => name.toString());
    assert.deepEqual(names().sort(), ['file', 'inner', 'link', 'link-to-file']);
    assert.equal(removeFrom(held, Buffer.from('file')), 0);
    assert.ok(!names().includes('file'));
    using other = new Fd(open(join(root, 'other'), O_RDONLY | O_DIRECTORY));
    assert.equal(entriesOf(other).length, 1, "the other directory's file is still there");
  });
});

test('a path that is no UTF-8 is shown with its bytes escaped', () => {
  assert.equal(pathText(Buffer.from('/sys/fs/bpf/äé')), '/sys/fs/bpf/äé');
  assert.equal(pathText(Buffer.from([0x2f, 0x61, 0xff, 0x80])), '/a\\xff\\x80');
});
