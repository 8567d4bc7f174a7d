/** Keeps what guests decide on within a line of the protocol: how many pins there are, how long their paths. */
import { MAX_LINE } from '../control/protocol.js';

/** Limits for lists and texts. The longest that fit are chosen. */
const cuts = [
  { entries: 200, text: 300 },
  { entries: 20, text: 100 },
  { entries: 5, text: 30 },
] as const;

/** A value whose JSON takes at most half of a line, with lists and texts cut. A text that was cut ends with '…'. */
export function shortened<T>(value: T): T {
  const cut = cuts.find((each) => Buffer.byteLength(JSON.stringify(cutTo(each, value))) < MAX_LINE / 2) ?? cuts[2];
  return cutTo(cut, value);
}

function cutTo<T>(cut: (typeof cuts)[number], value: T): T {
  if (typeof value === 'string') return (value.length > cut.text ? `${value.slice(0, cut.text)}…` : value) as T;
  if (Array.isArray(value)) return value.slice(0, cut.entries).map((each) => cutTo(cut, each)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cutTo(cut, each)])) as T;
}
