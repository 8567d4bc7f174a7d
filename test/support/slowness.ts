/**
 * How many times slower than a real machine this one is. `make test-vm` sets it, whose machines are
 * emulated; elsewhere it is 1. It lengthens time limits, and lowers the number of mere repetitions.
 */
const slowness = Number(process.env.BPFNS_TEST_SLOWNESS ?? 1);

/** Whether this machine is emulated. */
export const isSlow = slowness > 1;

/** A time limit, in any unit. */
export function limit(time: number): number {
  return time * slowness;
}

/** How often to repeat what a real machine repeats `count` times. */
export function times(count: number): number {
  return Math.ceil(count / slowness);
}
