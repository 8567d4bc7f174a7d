import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tellsPreemptible } from './preemption.js';

describe('whether a kernel is preemptible', () => {
  const kernels: ReadonlyArray<readonly [what: string, build: string, models: string, answer: boolean]> = [
    ['built without', '#1 SMP Debian 5.10.1', '', false],
    ['built with', '#1 SMP PREEMPT Debian 5.10.1', '', true],
    ['of real time', '#1 SMP PREEMPT_RT Debian 6.1.1', '', true],
    ['built for a choice, voluntary', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.1', 'none (voluntary) full \n', false],
    ['built for a choice, none', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.1', '(none) voluntary full \n', false],
    ['built for a choice, full', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.1', 'none voluntary (full) \n', true],
    ['built for a choice, lazy', '#1 SMP PREEMPT_DYNAMIC Debian 6.13.1', 'none voluntary full (lazy) \n', true],
    ['built for a choice that cannot be read', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.1', '', true],
  ];
  for (const [what, build, models, answer] of kernels) {
    test(`${what}: ${answer ? 'yes' : 'no'}`, () => {
      assert.equal(tellsPreemptible(build, models), answer);
    });
  }
});
