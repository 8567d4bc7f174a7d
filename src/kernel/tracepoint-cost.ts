/** Measures how much a system call tracepoint slows down every system call of the machine. */

import { close, SYS, syscall0 } from '../sys/libc.js';
import { openTracepoint } from '../sys/tracepoint.js';

const ROUNDS = 21;
const CALLS = 5000;

/** How many nanoseconds longer a null system call takes while one is in use; undefined if none can be used. */
export function measureTracepointCost(): number | undefined {
  const differences: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const without = timeCall();
    let event: number;
    try {
      event = openTracepoint('syscalls', 'sys_exit_bpf');
    } catch {
      return undefined;
    }
    differences.push(timeCall() - without);
    close(event);
  }
  return Math.max(0, Math.round(differences.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0));
}

function timeCall(): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) syscall0(SYS.gettid);
  return Number(process.hrtime.bigint() - start) / CALLS;
}
