import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nsId } from '../../../model/ids.js';
import { translateInstructions } from './instructions.js';

/** One 8-byte instruction of eBPF. */
function instruction(opcode: number, registers: number, immediate: number): Buffer {
  const code = Buffer.alloc(8);
  code.writeUInt8(opcode, 0);
  code.writeUInt8(registers, 1);
  code.writeUInt32LE(immediate, 4);
  return code;
}

const LD_IMM_DW = 0x18;
const MAP_FD = 0x11; // source 1, destination r1
const MAP_VALUE = 0x22;
const MOV_IMM = 0xb7;

function translated(...code: Buffer[]): Buffer {
  const all = Buffer.concat(code);
  translateInstructions(all, all.length, (kind, host) => {
    assert.equal(kind, 'map');
    return nsId(host === 700 ? 7 : 0);
  });
  return all;
}

describe('map ids in translated instructions', () => {
  for (const [what, registers] of [
    ['a map', MAP_FD],
    ["a map's value", MAP_VALUE],
  ] as const) {
    test(`a reference to ${what} gets the caller's id, its second half stays`, () => {
      const code = translated(instruction(LD_IMM_DW, registers, 700), instruction(0, 0, 700));
      assert.deepEqual(code, Buffer.concat([instruction(LD_IMM_DW, registers, 7), instruction(0, 0, 700)]));
    });
  }

  test('a map that is not visible has id 0', () => {
    const code = translated(instruction(LD_IMM_DW, MAP_FD, 800), instruction(0, 0, 0));
    assert.equal(code.readUInt32LE(4), 0);
  });

  for (const [what, code] of [
    ['a 64-bit constant', [instruction(LD_IMM_DW, 0x01, 700), instruction(0, 0, 1)]],
    ['a function', [instruction(LD_IMM_DW, 0x41, 700), instruction(0, 0, 1)]],
    ['another instruction', [instruction(MOV_IMM, MAP_FD, 700)]],
    [
      'the second half of a constant, even if it looks like a reference',
      [instruction(LD_IMM_DW, 0x01, 1), instruction(LD_IMM_DW, MAP_FD, 700)],
    ],
  ] as const) {
    test(`${what} stays as it is`, () => assert.deepEqual(translated(...code), Buffer.concat([...code])));
  }

  test('a reference cut off at the end of the room is translated', () => {
    assert.equal(translated(instruction(LD_IMM_DW, MAP_FD, 700)).readUInt32LE(4), 7);
  });

  test('nothing but immediates changes, and nothing behind the length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), fc.nat(256), (bytes, room) => {
        const before = Buffer.from(bytes);
        const after = Buffer.from(bytes);
        const length = Math.min(room, bytes.length);
        translateInstructions(after, length, () => nsId(0));
        before.forEach((byte, i) => {
          if (i >= length || i % 8 < 4) assert.equal(after[i], byte);
        });
      }),
    );
  });
});
