/**
 * Loads a program so that each of its functions clears all of the stack that it uses. How much that is,
 * the verifier says; the guess is right unless the program is odd.
 */
import { covers, depthsIn } from '../../../program/stack.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import type { Loaded, Log } from './kernel-load.js';

/** BPF_LOG_STATS; with it come the reasons of a refusal. */
const STATISTICS: Log = { level: 4, room: 65_536 };

/**
 * @param guess bytes of stack for each function
 * @param asked the log that the guest wants
 * @param load loads the program with functions that clear so much
 */
export function loadCleared(
  guess: readonly number[],
  asked: Log,
  load: (depths: readonly number[], log: Log) => Loaded,
): Loaded {
  let depths = guess;
  for (let tries = 0; tries < 3; tries++) {
    const loaded = load(depths, STATISTICS);
    const text = loaded.log.toString('latin1');
    const used = depthsIn(text);
    const isLoaded = loaded.fd.isOpen;
    if (isLoaded ? used && covers(depths, used) : !text.includes('combined stack size')) {
      if (asked.level === 0 && asked.room === 0) return { ...loaded, log: loaded.log.subarray(0, 0), logTrueSize: 0 };
      loaded.fd.close();
      const told = load(depths, asked);
      // The same program, so the same outcome.
      if (!isLoaded) told.fd.close();
      return told;
    }
    loaded.fd.close();
    // More was cleared than is used, or less: next it is as much. Of a program that clears nothing all is told.
    depths = isLoaded ? (used ?? []) : [];
  }
  return { fd: new Fd(-E.EINVAL), log: Buffer.alloc(0), logTrueSize: 0 };
}
