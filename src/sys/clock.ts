/** CLOCK_BOOTTIME, with which the recorder stamps objects. */
import { clockGettime } from './libc.js';

const CLOCK_REALTIME = 0;
const CLOCK_BOOTTIME = 7;
const now = Buffer.alloc(16);

function read(clock: number): bigint {
  clockGettime(clock, now);
  return now.readBigInt64LE(0) * 1_000_000_000n + now.readBigInt64LE(8);
}

/** Nanoseconds since boot, including time in suspend. */
export function bootTimeNs(): bigint {
  return read(CLOCK_BOOTTIME);
}

/**
 * The wall-clock time of a CLOCK_BOOTTIME stamp. Both clocks are read in nanoseconds: with
 * milliseconds, the same stamp would give results that differ by one.
 */
export function toDate(bootNs: bigint): Date {
  const age = bootTimeNs() - bootNs;
  return new Date(Number((read(CLOCK_REALTIME) - age) / 1_000_000n));
}
