/**
 * Loads a program so that each of its functions clears all of the stack that it uses. How much that is,
 * the verifier says; the guess is right unless the program is odd.
 */
import { covers, depthsIn, withoutStatistics } from '../../../program/stack.js';
import { E } from '../../../sys/errno.js';
import { Fd } from '../../../sys/fd.js';
import type { Loaded, Log } from './kernel-load.js';

/** BPF_LOG_STATS; with it come the reasons of a refusal. */
const STATISTICS = 4;
/** Bytes for the statistics, besides what the guest has room for. */
const ROOM = 65_536;

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
    const log = { level: asked.level | STATISTICS, room: asked.room + ROOM };
    const loaded = load(depths, log);
    const text = loaded.log.toString('latin1');
    const used = depthsIn(text);
    const isLoaded = loaded.fd.isOpen;
    if (isLoaded ? used && covers(depths, used) : !text.includes('combined stack size')) {
      const told = toldOf(loaded, text, asked, log.room);
      if (told) return told;
      loaded.fd.close();
      const again = load(depths, asked);
      // The same program, so the same outcome.
      if (!isLoaded) again.fd.close();
      return again;
    }
    loaded.fd.close();
    // More was cleared than is used, or less: next it is as much. Of a program that clears nothing all is told.
    depths = isLoaded ? (used ?? []) : [];
  }
  return { fd: new Fd(-E.EINVAL), log: Buffer.alloc(0), logTrueSize: 0 };
}

/**
 * The same with the log that the guest asked for. undefined if the kernel has to say it: it does not fit,
 * or what is asked for is odd.
 */
function toldOf(loaded: Loaded, text: string, asked: Log, room: number): Loaded | undefined {
  if (asked.level === 0 && asked.room === 0) return { ...loaded, log: loaded.log.subarray(0, 0), logTrueSize: 0 };
  if (asked.level === 0 || asked.room === 0 || loaded.log.length >= room) return undefined;
  const log = Buffer.from((asked.level & STATISTICS) === 0 ? withoutStatistics(text) : text, 'latin1');
  if (log.length > asked.room) return undefined;
  return { ...loaded, log, logTrueSize: loaded.logTrueSize === 0 ? 0 : log.length };
}
