/** Values of one layout become values of another: of structures that clang compiles for each case. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { Btf, BtfKind } from './btf.js';
import { Conversion, haveSameMembers, type Typed } from './btf-convert.js';
import { elfSection } from './elf.js';
import { layoutOf } from './layout.js';

/** The BTF of `struct s`, with these members. */
function compiled(members: string, more = ''): Typed {
  const directory = mkdtempSync(`${tmpdir()}/bpfns-btf-`);
  const [source, object] = [`${directory}/s.c`, `${directory}/s.o`];
  writeFileSync(source, `${more} struct s { ${members} }; const struct s *layout;`);
  execFileSync('clang', ['-g', '-O2', '-target', 'bpf', '-c', source, '-o', object]);
  const btf = new Btf(elfSection(readFileSync(object), '.BTF'));
  rmSync(directory, { recursive: true });
  return { btf, type: btf.find(BtfKind.struct, 's') };
}

/** Reads a member of 32 bits. */
function member({ btf }: Typed, value: Buffer, name: string): number {
  const offset = layoutOf(btf, 's')?.get(name);
  assert.ok(offset !== undefined, name);
  return value.readUInt32LE(offset);
}

describe('a value becomes one of another layout', () => {
  test('with members that have moved, are new, or are gone', () => {
    const from = compiled('unsigned a; unsigned gone; unsigned b;');
    const to = compiled('unsigned b; unsigned inserted; unsigned a;');
    const value = Buffer.alloc(12, 0xff);
    new Conversion(from, to).convert(Buffer.from('010000000200000003000000', 'hex'), value);
    assert.deepEqual(
      ['a', 'b', 'inserted'].map((name) => member(to, value, name)),
      [1, 3, 0],
    );
  });

  test('with a structure and an array in it that have grown', () => {
    const from = compiled('struct inner in; unsigned list[2];', 'struct inner { unsigned x; };');
    const to = compiled('unsigned list[4]; struct inner in;', 'struct inner { unsigned y; unsigned x; };');
    const value = Buffer.alloc(24);
    new Conversion(from, to).convert(Buffer.from('070000000800000009000000', 'hex'), value);
    assert.equal(member(to, value, 'in_x'), 7);
    assert.equal(value.toString('hex', 0, 16), `0800000009000000${'00'.repeat(8)}`);
  });

  test('with a member that has become wider', () => {
    const from = compiled('unsigned a;');
    const to = compiled('unsigned long long a;');
    const value = Buffer.alloc(8, 0xff);
    new Conversion(from, to).convert(Buffer.from('ffffffff', 'hex'), value);
    assert.equal(value.readBigUInt64LE(0), 0xffffffffn);
  });
});

describe('a value cannot be converted', () => {
  const cases: ReadonlyArray<readonly [name: string, from: string, to: string, reason: RegExp]> = [
    ['if a member has become narrower', 'unsigned long long a;', 'unsigned a;', /s\.a has become narrower/],
    ['if a signed member has become wider', 'int a;', 'long long a;', /s\.a has a sign/],
    ['if an array has fewer elements', 'char a[8];', 'char a[4];', /s\.a has fewer elements/],
    ['if a number has become an array', 'unsigned a;', 'unsigned a[1];', /s\.a is of another kind/],
    ['if a member is a pointer', 'void *a;', 'void *a;', /cannot be converted/],
  ];
  for (const [name, from, to, reason] of cases) {
    test(name, () => {
      assert.throws(() => new Conversion(compiled(from), compiled(to)), { name: 'RangeError', message: reason });
    });
  }

  test('as a key if it has other members', () => {
    const key = compiled('unsigned a; unsigned b;');
    assert.ok(haveSameMembers(key, compiled('unsigned b; unsigned a;')));
    assert.ok(!haveSameMembers(key, compiled('unsigned a;')));
    assert.ok(!haveSameMembers(key, compiled('unsigned a; unsigned b; unsigned c;')));
  });
});
