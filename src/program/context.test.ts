import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { usesContext } from './context.js';
import { type Instruction, instruction, Op } from './instruction.js';

const exit = instruction(Op.exit);
const move = (dst: number, src: number): Instruction => instruction(Op.moveReg, { dst, src });
const load = (dst: number, src: number, off = 0): Instruction => instruction(Op.loadLong, { dst, src, off });
const store = (dst: number, src: number, off = -8): Instruction => instruction(0x7b, { dst, src, off });
const callFunction = (imm: number): Instruction => instruction(Op.call, { src: 1, imm });

describe('a program uses its context', () => {
  const users: ReadonlyArray<readonly [how: string, program: Instruction[]]> = [
    ['by a load', [load(0, 1), exit]],
    ['by a store', [store(1, 0, 0), exit]],
    ['after moving it', [move(6, 1), move(7, 6), load(0, 7), exit]],
    ['after adding to it', [instruction(Op.addImm, { dst: 1, imm: 8 }), load(0, 1), exit]],
    [
      'after adding it to a number',
      [instruction(Op.moveImm, { dst: 2 }), instruction(0x0f, { dst: 2, src: 1 }), load(0, 2), exit],
    ],
    ['after keeping it on the stack', [store(10, 1), load(3, 10), load(0, 3), exit]],
    ['behind a jump', [instruction(0x15, { dst: 2, off: 1 }), exit, load(0, 1), exit]],
    ['behind a jump back', [instruction(Op.jump, { off: 2 }), load(0, 1), exit, instruction(Op.jump, { off: -3 })]],
    ['in a function', [callFunction(1), exit, load(0, 1), exit]],
    ['in a function, by another argument', [move(3, 1), callFunction(1), exit, load(0, 3), exit]],
    ['that a function gives back', [callFunction(2), load(0, 0), exit, move(0, 1), exit]],
    [
      'in a function, from the stack of its caller',
      [store(10, 1), move(2, 10), callFunction(1), exit, load(3, 2, -8), load(0, 3), exit],
    ],
    [
      'in a callback',
      [
        instruction(Op.loadImm64, { dst: 2, src: 4, imm: 3 }),
        instruction(0),
        instruction(Op.call, { imm: 181 }),
        exit,
        load(0, 2),
        exit,
      ],
    ],
  ];
  for (const [how, program] of users) test(how, () => assert.equal(usesContext(program), true));
});

describe('a program does not use its context', () => {
  const others: ReadonlyArray<readonly [how: string, program: Instruction[]]> = [
    [
      'if it only passes it to a helper',
      [move(6, 1), instruction(Op.call, { imm: 25 }), move(1, 6), instruction(Op.call, { imm: 25 }), exit],
    ],
    ['if something else is in the register by then', [move(1, 10), load(0, 1, -8), exit]],
    ['if a call came between', [instruction(Op.call, { imm: 5 }), load(0, 1), exit]],
    ['if it reads what a helper returned', [instruction(Op.call, { imm: 1 }), load(0, 0), exit]],
    ['if it reads its stack, on which it is not', [load(3, 10, -8), load(0, 3), exit]],
  ];
  for (const [how, program] of others) test(how, () => assert.equal(usesContext(program), false));
});
