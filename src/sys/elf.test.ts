import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { elfSection } from './elf.js';

const object = 'build/bpf/inspect.bpf.o';
const whole = readFileSync(object);

describe('a section of an ELF file', () => {
  for (const name of ['.BTF', '.BTF.ext', 'license', 'iter/task']) {
    test(`${name} is where readelf finds it`, () => {
      const { stdout } = spawnSync('readelf', ['-WS', object], { encoding: 'utf8' });
      const line = stdout.split('\n').find((each) => each.includes(`] ${name} `)) ?? '';
      const [offset = 0, size = 0] = (/PROGBITS\s+\w+ (\w+) (\w+)/.exec(line) ?? [])
        .slice(1)
        .map((n) => Number(`0x${n}`));
      assert.ok(size > 0);
      assert.deepEqual(elfSection(whole, name), whole.subarray(offset, offset + size));
    });
  }

  test('that does not exist is an error that names it', () => {
    assert.throws(() => elfSection(whole, '.nothing'), /no section \.nothing/);
  });

  test('of a damaged file is an error or some bytes, never an endless search', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { maxLength: 8 }), fc.nat(whole.length), (bytes, end) => {
        const bad = Buffer.from(whole.subarray(0, end));
        for (const [at, byte] of bytes) if (at < bad.length) bad[at] = byte;
        try {
          elfSection(bad, '.nothing');
        } catch (error) {
          assert.ok(error instanceof Error);
        }
      }),
    );
  });
});
