/** BTF may come from a guest: right where it is well formed, a RangeError and nothing worse where it is not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Btf, BtfKind } from './btf.js';
import { elfSection } from './elf.js';
import { layoutOf } from './layout.js';

const object = 'build/bpf/inspect.bpf.o';
const blob = elfSection(readFileSync(object), '.BTF');

interface DumpedType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly members?: ReadonlyArray<{ name: string; type_id: number; bits_offset: number; bitfield_size?: number }>;
  readonly values?: ReadonlyArray<{ name: string; val: number }>;
  readonly vars?: ReadonlyArray<{ type_id: number; offset: number }>;
}

/** The same file as bpftool reads it. */
function dumped(): DumpedType[] {
  const { stdout } = spawnSync('bpftool', ['-j', 'btf', 'dump', 'file', object], { encoding: 'utf8' });
  return (JSON.parse(stdout) as { types: DumpedType[] }).types;
}

const textOf = (name: string): string => (name === '(anon)' ? '' : name);

describe('well-formed BTF reads as bpftool reads it', () => {
  const btf = new Btf(blob);
  const types = dumped();
  const ofKind = (...kinds: string[]): DumpedType[] => types.filter(({ kind }) => kinds.includes(kind));

  test('names', () => {
    assert.ok(types.length > 50);
    for (const { id, name } of types) assert.equal(btf.name(id), textOf(name));
  });

  test('structures: size, members and their offsets', () => {
    for (const { id, size, members = [] } of ofKind('STRUCT', 'UNION')) {
      assert.equal(btf.size(id), size);
      assert.deepEqual(
        btf.members(id),
        members
          .filter((member) => !member.bitfield_size)
          .map((member) => ({ name: textOf(member.name), type: member.type_id, offset: member.bits_offset / 8 })),
      );
    }
  });

  test('enumerations', () => {
    for (const { id, values = [] } of ofKind('ENUM')) {
      assert.deepEqual(
        btf.enumerators(id),
        values.map(({ name, val }) => [name, val | 0]),
      );
    }
  });

  test('sections and their variables', () => {
    for (const { name, vars = [] } of ofKind('DATASEC')) {
      assert.deepEqual(
        btf.variables(name).map(({ name: variable, offset }) => [variable, offset]),
        vars.map(({ type_id: type, offset }) => [types[type - 1]?.name, offset]),
      );
    }
  });

  test('sizes of arrays and pointers', () => {
    const member = (structure: string, name: string): number =>
      btf.members(btf.find(BtfKind.struct, structure)).find((each) => each.name === name)?.type ?? 0;
    assert.equal(btf.size(member('bpfns_task', 'newest')), 16);
    assert.equal(btf.size(member('bpfns_object_user', 'comm')), 16);
    assert.equal(btf.size(member('bpf_iter__task_file', 'task')), 8);
  });

  test('what is not there is not found', () => {
    assert.equal(btf.find(BtfKind.struct, 'no_such_structure'), 0);
    assert.deepEqual(btf.variables('.nothing'), []);
    assert.equal(layoutOf(btf, 'no_such_structure'), undefined);
  });
});

/** Writes BTF by hand: each type is [name, kind, vlen, size or type, what follows]. */
function write(types: ReadonlyArray<readonly [string, number, number, number, readonly number[]]>): Buffer {
  let strings = '\0';
  const words = types.flatMap(([name, kind, vlen, sizeOrType, rest]) => {
    const at = name === '' ? 0 : strings.length;
    if (name !== '') strings += `${name}\0`;
    return [at, (kind << 24) | vlen, sizeOrType, ...rest];
  });
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  [24, 0, words.length * 4, words.length * 4, strings.length].forEach((value, i) => {
    header.writeUInt32LE(value, 4 + i * 4);
  });
  return Buffer.concat([header, Buffer.from(new Uint32Array(words).buffer), Buffer.from(strings)]);
}

describe('the layout of a structure', () => {
  const int = ['int', BtfKind.int, 0, 4, [32]] as const;

  test('joins the names of nested members and passes through unnamed ones', () => {
    const btf = new Btf(
      write([
        int,
        ['inner', BtfKind.struct, 2, 8, [0, 1, 0, 0, 1, 32]], // two unnamed ints are no members of anything
        ['outer', BtfKind.struct, 1, 8, [1, 2, 0]], // named 'int', at the start of the strings
        ['', BtfKind.union, 1, 4, [1, 1, 0]],
        ['mixed', BtfKind.struct, 2, 8, [0, 4, 0, 5, 4, 32]],
      ]),
    );
    assert.deepEqual(
      [...(layoutOf(btf, 'outer') ?? [])],
      [
        ['sizeof', 8],
        ['int', 0],
      ],
    );
    assert.deepEqual(
      [...(layoutOf(btf, 'mixed') ?? [])],
      [
        ['sizeof', 8],
        ['int', 0],
        ['inner', 4],
        ['inner_int', 4],
      ],
    );
  });

  test('leaves bit fields out', () => {
    const flagged = (BtfKind.struct << 24) | 0x80000000;
    const btf = new Btf(write([int, ['s', flagged >>> 24, 2, 8, [1, 1, (3 << 24) | 8, 5, 1, 32]]]));
    assert.deepEqual(btf.members(2), [{ name: 's', type: 1, offset: 4 }]);
  });
});

describe('malformed BTF is a RangeError', () => {
  const doubling = Array.from(
    { length: 40 },
    (_, i) => [`s${i}`, BtfKind.struct, 2, 8, [1, i + 2, 0, 1, i + 2, 32]] as const,
  );
  const cases: ReadonlyArray<readonly [string, () => unknown]> = [
    ['nothing at all', () => new Btf(Buffer.alloc(0))],
    ['another magic', () => new Btf(Buffer.alloc(24))],
    ['half of the types', () => new Btf(blob.subarray(0, 200))],
    ['a kind nobody has defined', () => new Btf(write([['x', 30, 0, 4, []]]))],
    ['a type that does not exist', () => new Btf(blob).size(1_000_000)],
    ['a typedef of itself', () => new Btf(write([['t', BtfKind.typedef, 0, 1, []]])).resolve(1)],
    ['an array of itself', () => new Btf(write([['', BtfKind.array, 0, 0, [1, 1, 2]]])).size(1)],
    ['more members than bytes', () => new Btf(write([['s', BtfKind.struct, 9, 8, []]])).members(1)],
    ['a structure within itself', () => layoutOf(new Btf(write([['s', BtfKind.struct, 1, 8, [1, 1, 0]]])), 's')],
    ['one that holds the next twice, forty times', () => layoutOf(new Btf(write(doubling)), 's0')],
  ];
  for (const [what, read] of cases) test(what, () => assert.throws(read, RangeError));

  test('random damage, read in every way', () => {
    const damage = fc.array(fc.tuple(fc.nat(blob.length - 1), fc.nat(255)), { maxLength: 20, size: 'max' });
    fc.assert(
      fc.property(damage, fc.nat(blob.length), (bytes, length) => {
        const bad = Buffer.from(blob.subarray(0, length < blob.length / 2 ? blob.length : length));
        for (const [at, byte] of bytes) if (at < bad.length) bad[at] = byte;
        readEverything(bad);
      }),
      { numRuns: 150 },
    );
  });
});

/** Fails on anything but RangeErrors. */
function readEverything(data: Buffer): void {
  const attempt = (read: () => unknown): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  };
  attempt(() => {
    const btf = new Btf(data);
    for (const name of ['bpfns_task', 'bpfns_object_user', 'file']) attempt(() => layoutOf(btf, name));
    attempt(() => btf.variables('.maps'));
    for (let type = 0; type < 200; type++) {
      attempt(() => btf.name(type));
      attempt(() => btf.size(type));
      attempt(() => btf.members(type));
      attempt(() => btf.enumerators(type));
    }
  });
}
