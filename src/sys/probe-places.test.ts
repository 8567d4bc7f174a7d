import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { NoElf, type Place, placeAt, type ReadAt } from './probe-places.js';

const bash = readFileSync('/bin/bash');
const from =
  (file: Buffer): ReadAt =>
  (into, length, at) =>
    at < file.length ? file.copy(into, 0, at, Math.min(at + length, file.length)) : 0;
const inBash = (offset: number): Place | undefined => placeAt(offset, from(bash));

/** Exported functions of bash, by readelf: addresses, which are offsets in its first segments. */
function functions(): number[] {
  const table = execFileSync('readelf', ['--wide', '--dyn-syms', '/bin/bash'], { encoding: 'utf8' });
  return [...table.matchAll(/: ([0-9a-f]{16}) +\d+ FUNC +GLOBAL DEFAULT +\d+ /g)].map(([, hex]) => Number(`0x${hex}`));
}

/** A small ELF file: one segment of code at 0x1000 -> 0x401000, one of data at 0x2000 -> 0x502000, and sections. */
function elf(sections: ReadonlyArray<{ type: number; content: Buffer; address?: number; name?: string }>): Buffer {
  const file = Buffer.alloc(0x6000);
  file.writeUInt32LE(0x464c457f, 0);
  file.writeUInt16LE(0x0102, 4);
  file.writeBigUInt64LE(0x401000n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeBigUInt64LE(0x3000n, 40);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  file.writeUInt16LE(64, 58);
  [5, 6].forEach((flags, i) => {
    const at = 64 + i * 56;
    file.writeUInt32LE(1, at);
    file.writeUInt32LE(flags, at + 4);
    file.writeBigUInt64LE(BigInt(0x1000 * (i + 1)), at + 8);
    file.writeBigUInt64LE(i === 0 ? 0x401000n : 0x502000n, at + 16);
    file.writeBigUInt64LE(0x1000n, at + 32);
  });
  const names = Buffer.from(`\0${sections.map(({ name = 'x' }) => name).join('\0')}\0`);
  const all = [...sections, { type: 3, content: names }];
  file.writeUInt16LE(all.length, 60);
  file.writeUInt16LE(all.length - 1, 62);
  let contentAt = 0x4000;
  let nameAt = 1;
  all.forEach(({ type, content, address = 0, name = 'x' }, i) => {
    const at = 0x3000 + i * 64;
    file.writeUInt32LE(nameAt, at);
    file.writeUInt32LE(type, at + 4);
    file.writeBigUInt64LE(BigInt(address), at + 16);
    file.writeBigUInt64LE(BigInt(contentAt), at + 24);
    file.writeBigUInt64LE(BigInt(content.length), at + 32);
    content.copy(file, contentAt);
    contentAt += content.length;
    nameAt += name.length + 1;
  });
  return file;
}

function symbol(value: number, type: number, section = 1): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeUInt8(0x10 | type, 4);
  entry.writeUInt16LE(section, 6);
  entry.writeBigUInt64LE(BigInt(value), 8);
  return entry;
}

function note(location: number, base: number, semaphore: number): Buffer {
  const entry = Buffer.alloc(12 + 8 + 24 + 4);
  for (const [i, value] of [8, 24 + 3, 3].entries()) entry.writeUInt32LE(value, i * 4);
  entry.write('stapsdt\0', 12, 'latin1');
  for (const [i, value] of [location, base, semaphore].entries()) entry.writeBigUInt64LE(BigInt(value), 20 + i * 8);
  return entry;
}

describe('a breakpoint may be put', () => {
  test('where a function begins, and nowhere behind that', () => {
    const some = functions().filter((_, i) => i % 50 === 0);
    assert.ok(some.length > 20);
    const starts = new Set(functions());
    for (const offset of some) {
      assert.deepEqual(inBash(offset), { isFunction: true, semaphores: [] });
      for (const behind of [1, 2, 3, 5])
        if (!starts.has(offset + behind)) assert.equal(inBash(offset + behind), undefined);
    }
  });

  test('where the program is entered, which is not called', () => {
    assert.deepEqual(inBash(Number(bash.readBigUInt64LE(24))), { isFunction: false, semaphores: [] });
  });

  test('where a defined symbol is of a function, in memory that is executed', () => {
    const symbols = [
      symbol(0x401010, 2),
      symbol(0x401020, 10),
      symbol(0x401030, 1),
      symbol(0x401040, 2, 0),
      symbol(0x502000, 2),
    ];
    const file = from(elf([{ type: 2, content: Buffer.concat(symbols) }]));
    const places = [0x1010, 0x1020, 0x1030, 0x1040, 0x2000, 0x4010].map((at) => placeAt(at, file)?.isFunction);
    assert.deepEqual(places, [true, true, undefined, undefined, undefined, undefined]);
  });

  test('where a note has a USDT probe: by offsets, moved as its base is', () => {
    const content = Buffer.concat([note(0x300100, 0x600000, 0x401040), note(0x300200, 0x600000, 0)]);
    const base = { type: 1, content: Buffer.alloc(1), address: 0x701000, name: '.stapsdt.base' };
    const file = from(elf([{ type: 7, content, name: '.note.stapsdt' }, base]));
    assert.deepEqual(placeAt(0x1100, file), { isFunction: false, semaphores: [0x2040] });
    assert.deepEqual(placeAt(0x1200, file), { isFunction: false, semaphores: [0] });
    assert.equal(placeAt(0x1300, file), undefined);
  });

  test('not with a semaphore in code', () => {
    const file = from(elf([{ type: 7, content: note(0x401100, 0, 0x401500) }]));
    assert.throws(() => placeAt(0x1100, file), NoElf);
  });
});

describe('a file without tables', () => {
  const refusal = (content: string | Buffer): unknown => {
    try {
      return placeAt(0, from(Buffer.from(content)));
    } catch (error) {
      return error instanceof NoElf ? error.message : error;
    }
  };

  test('is told from one that is cut short, however short it is', () => {
    for (const text of ['', 'a', 'root:x:0:0::/root:/bin/sh\n'.repeat(3)]) {
      assert.equal(refusal(text), 'it is not a 64-bit ELF file');
    }
    assert.equal(refusal(elf([]).subarray(0, 63)), 'it is cut short');
  });
});

describe('a hostile file', () => {
  const whole = elf([
    { type: 2, content: Buffer.concat([symbol(0x401010, 2), symbol(0x401020, 10)]) },
    { type: 7, content: note(0x401100, 0x701000, 0x502040), name: '.note.stapsdt' },
    { type: 1, content: Buffer.alloc(1), address: 0x701000, name: '.stapsdt.base' },
  ]);

  test('is read to the end, whatever it says', () => {
    const interesting = fc.oneof(
      fc.nat(256),
      fc.integer({ min: 0x3000, max: 0x3180 }),
      fc.integer({ min: 0x4000, max: 0x40c0 }),
    );
    const changes = fc.array(fc.tuple(interesting, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)), { maxLength: 12 });
    fc.assert(
      fc.property(changes, fc.nat(whole.length), (bytes, length) => {
        const bad = Buffer.from(whole.subarray(0, length % 3 === 0 ? length : undefined));
        for (const [at, value] of bytes) if (at < bad.length) bad[at] = value;
        try {
          placeAt(0x1010, from(bad));
        } catch (error) {
          assert.ok(error instanceof NoElf, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('is refused if its segments are one over the other', () => {
    const bad = Buffer.from(whole);
    for (let i = 0; i < 6; i++) bad.copy(bad, 64 + i * 56, 64, 64 + 56);
    bad.writeUInt16LE(6, 56);
    assert.throws(() => placeAt(0x1010, from(bad)), /segments overlap/);
  });

  test('is refused if it has many notes of one place', () => {
    const notes = Buffer.concat(Array.from({ length: 65 }, () => note(0x401100, 0, 0)));
    assert.throws(() => placeAt(0x1100, from(elf([{ type: 7, content: notes }]))), /too many notes/);
  });

  test('is refused if it claims too many symbols', () => {
    const bad = Buffer.from(whole);
    bad.writeBigUInt64LE(1n << 40n, 0x3000 + 32);
    const endless: ReadAt = (into, length, at) => {
      into.fill(0, 0, length);
      if (at < bad.length) bad.copy(into, 0, at, Math.min(at + length, bad.length));
      return length;
    };
    assert.throws(() => placeAt(0x1500, endless), /too many symbols/);
  });
});
