/** Keeps what guests decide on within a line of the protocol: how many pins there are, how long their paths. */
import { MAX_LINE } from '../control/protocol.js';

/** Limits for lists and texts. The longest that fit are chosen. */
const cuts = [
  { entries: 200, text: 300 },
  { entries: 20, text: 100 },
  { entries: 5, text: 30 },
] as const;

/**
 * An object whose JSON takes at most half of a line: lists and texts are cut, and `isCut` says so. A text
 * that was cut ends with '…'.
 */
export function shortened<T extends object>(value: T): T & { readonly isCut?: true } {
  const whole = JSON.stringify(value);
  for (const cut of cuts) {
    const short = cutTo(cut, value);
    const text = JSON.stringify(short);
    if (Buffer.byteLength(text) >= MAX_LINE / 2 && cut !== cuts[2]) continue;
    return text === whole ? short : { ...short, isCut: true };
  }
  return value;
}

function cutTo<T>(cut: (typeof cuts)[number], value: T): T {
  if (typeof value === 'string') return (value.length > cut.text ? `${value.slice(0, cut.text)}…` : value) as T;
  if (Array.isArray(value)) return value.slice(0, cut.entries).map((each) => cutTo(cut, each)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cutTo(cut, each)])) as T;
}
