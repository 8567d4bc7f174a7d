/**
 * How many times longer than a real machine this one takes: set by `make test-vm`,
 * whose machines are emulated. Limits get longer by it, and what is only repeated is repeated
 * less often; on a real machine it is 1.
 */
const slowness = Number(process.env.BPFNS_TEST_SLOWNESS ?? 1);

/** Whether this is such a machine. */
export const isSlow = slowness > 1;

/** A time limit, in whatever unit. */
export function limit(time: number): number {
  return time * slowness;
}

/** How often to repeat what elsewhere is repeated `count` times. */
export function times(count: number): number {
  return Math.ceil(count / slowness);
}
