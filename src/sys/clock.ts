/** CLOCK_BOOTTIME, which the recorder stamps objects with. */
import { clockGettime } from './libc.js';

const CLOCK_BOOTTIME = 7;
const now = Buffer.alloc(16);

/** Nanoseconds since boot, suspend included. */
export function bootTimeNs(): bigint {
  clockGettime(CLOCK_BOOTTIME, now);
  return now.readBigInt64LE(0) * 1_000_000_000n + now.readBigInt64LE(8);
}

/** The wall-clock time of a CLOCK_BOOTTIME stamp. */
export function toDate(bootNs: bigint): Date {
  return new Date(Date.now() - Number((bootTimeNs() - bootNs) / 1_000_000n));
}
