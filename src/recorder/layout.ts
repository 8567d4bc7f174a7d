/**
 * The layout of the pinned maps: a directory in the private bpffs, beside them, has a digest of the structures of
 * bpf/bpfns.h in its name. An agent of another version must not read maps that it does not know.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { paths } from '../config/paths.js';
import * as contract from '../sys/contract.gen.js';

const digest = createHash('sha256').update(
  JSON.stringify(Object.entries(contract).sort(([a], [b]) => (a < b ? -1 : 1))),
);
const mark = `${paths.bpffs}/layout-${digest.digest('hex').slice(0, 16)}`;

class LayoutError extends Error {
  override readonly name = 'LayoutError';
}

/** Says of the maps that are about to be pinned that they are of this version. */
export function markLayout(): void {
  mkdirSync(mark, { recursive: true });
}

/** @throws LayoutError if another version has pinned maps that this one cannot go on with */
export function requireSameLayout(): void {
  const isInPlace = existsSync(paths.links) && readdirSync(paths.links).length > 0;
  if (!isInPlace || existsSync(mark)) return;
  throw new LayoutError(
    `the recorder in ${paths.bpffs} is of another version of bpfns, with other maps. Go on with that version, ` +
      'or end all namespaces first (bpfns ls)',
  );
}
