import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Code } from './code.js';
import { type Instruction, instruction, loadMap, Op } from './instruction.js';
import { clearStack, covers, depthsIn, functionStarts, guessDepths, withoutStatistics } from './stack.js';

const exit = instruction(Op.exit);
const move = (dst: number, src: number): Instruction => instruction(Op.moveReg, { dst, src });
const add = (dst: number, imm: number): Instruction => instruction(Op.addImm, { dst, imm });
const store = (dst: number, off: number): Instruction => instruction(Op.storeLongImm, { dst, off });
const call = (imm: number): Instruction => instruction(Op.call, { src: 1, imm });

describe('the stack of a program', () => {
  test('has a frame for main and for each function and callback, in order', () => {
    const callback = [instruction(Op.loadImm64, { dst: 2, src: 4, imm: 5 }), instruction(0)];
    const program = [...callback, call(1), exit, exit, move(1, 2), exit];
    assert.deepEqual(functionStarts(Code.of(program)), [0, 4, 6]);
  });

  test('is as deep as what is stored and loaded, directly or through a copy of the frame pointer', () => {
    assert.deepEqual(guessDepths(Code.of([store(10, -24), exit])), [24]);
    assert.deepEqual(guessDepths(Code.of([move(2, 10), add(2, -20), instruction(Op.call, { imm: 1 }), exit])), [24]);
    assert.deepEqual(guessDepths(Code.of([move(2, 10), move(3, 2), add(3, -8), store(3, -8), exit])), [16]);
    assert.deepEqual(guessDepths(Code.of([...loadMap(1, 5), add(1, -64), exit])), [8]);
    assert.deepEqual(guessDepths(Code.of([call(1), exit, store(10, -40), exit])), [8, 40]);
    assert.deepEqual(guessDepths(Code.of([store(10, -4096), exit])), [512]);
  });

  test("is what the verifier's statistics say", () => {
    assert.deepEqual(depthsIn('verification time 9 usec\nstack depth 4+0+64\nprocessed 3 insns'), [8, 0, 64]);
    assert.equal(depthsIn('processed 3 insns'), undefined);
  });

  for (const [what, text] of [
    ['with their sum', 'stack depth 4+0+64 max 68\n'],
    [
      'in a line for each function (7.3)',
      'stack depth max 68\nsubprog 0 (last) main insns_self 12 insns_total 33 stack 4\n' +
        'subprog 1 (wait) static insns_self 14 insns_total 21 stack 0\n' +
        'subprog 2 () global insns_self 7 insns_total 7 stack 64\n',
    ],
  ]) {
    test(`is what newer statistics say, ${what}`, () => {
      const log = `0: (95) exit\nverification time 9 usec\n${text}processed 3 insns\n`;
      assert.deepEqual(depthsIn(log), [8, 0, 64]);
      assert.equal(withoutStatistics(log), '0: (95) exit\nprocessed 3 insns\n');
    });
  }

  test("is not what the program's own lines of source say, which the log has before", () => {
    const own = '; \nstack depth 0\nprocessed 1 insns\n';
    const log = `${own}verification time 9 usec\nstack depth 4+0\nprocessed 3 insns\n`;
    assert.deepEqual(depthsIn(log), [8, 0]);
    assert.equal(withoutStatistics(log), `${own}processed 3 insns\n`);
    assert.equal(withoutStatistics('processed 3 insns\n'), 'processed 3 insns\n');
    assert.equal(depthsIn(`${own}statistics of a later kernel\nprocessed 3 insns\n\0`), undefined);
  });

  test('is clear if every function clears what it uses', () => {
    assert.equal(covers([8, 40], [8, 32]), true);
    assert.equal(covers([8, 24], [8, 32]), false);
    assert.equal(covers([8], [8, 0]), false);
    assert.deepEqual(clearStack(16), [store(10, -8), store(10, -16)]);
  });
});
