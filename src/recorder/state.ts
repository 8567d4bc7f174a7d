/**
 * Which version of bpfns the pinned state is of. A directory beside the pinned maps says it in its name, the
 * stamp: the version of the state, a digest of the structures in the maps, and one of the recorder itself.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { paths } from '../config/paths.js';
import * as contract from '../sys/contract.gen.js';
import { bpfObjectPath } from '../sys/object-path.js';

/** Where a recorder is pinned. */
export interface Place {
  readonly maps: string;
  readonly links: string;
}

/** The recorder in use. */
export const inUse: Place = { maps: paths.maps, links: paths.links };

export interface Stamp {
  readonly version: number;
  /** Structures and constants that kernel and user space share. */
  readonly layout: string;
  /** The whole object file of the recorder. */
  readonly recorder: string;
}

export class StateError extends Error {
  override readonly name = 'StateError';
}

const FORMAT = /^state-(\d+)-([0-9a-f]{16})-([0-9a-f]{16})$/;
/** Before state version 1 a digest of the structures alone was beside the directory of the maps. */
const BEFORE_VERSIONS = /^layout-/;

function digest(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16);
}

const ownLayout = digest(JSON.stringify(Object.entries(contract).sort(([a], [b]) => (a < b ? -1 : 1))));

/** Of this version's own recorder. */
export function ownStamp(): Stamp {
  return {
    version: contract.BPFNS_STATE_VERSION,
    layout: ownLayout,
    recorder: digest(readFileSync(bpfObjectPath('recorder'))),
  };
}

/** Says of what is about to be pinned in a directory that it is of this version. */
export function stamp(directory: string): void {
  const { version, layout, recorder } = ownStamp();
  mkdirSync(`${directory}/state-${version}-${layout}-${recorder}`, { recursive: true });
}

/** The stamp in a directory of pins; undefined if there is none: it is empty, or older than stamps. */
export function stampIn(directory: string): Stamp | undefined {
  const found = entries(directory)
    .map((name) => FORMAT.exec(name))
    .find((match) => match);
  return found ? { version: Number(found[1]), layout: found[2] ?? '', recorder: found[3] ?? '' } : undefined;
}

/** Whether both are of the same version, down to the programs. */
export function isSame(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a?.version === b?.version && a?.layout === b?.layout && a?.recorder === b?.recorder;
}

/** The stamps of before version 1. They mean nothing once the maps are of this version. */
export function stampsBeforeVersions(): string[] {
  return entries(paths.bpffs)
    .filter((name) => BEFORE_VERSIONS.test(name))
    .map((name) => `${paths.bpffs}/${name}`);
}

/** Whether a recorder is attached and pinned. */
export function isInPlace(): boolean {
  return entries(paths.links).length > 0;
}

/** Whether what is in place, if anything, is of this very version. */
export function isOfThisVersion(): boolean {
  return !isInPlace() || isSame(stampIn(inUse.maps), ownStamp());
}

/** @throws StateError if a newer version has left state that this one does not know */
export function requireKnownState(): void {
  const version = isInPlace() ? (stampIn(paths.maps)?.version ?? 0) : 0;
  if (version <= contract.BPFNS_STATE_VERSION) return;
  throw new StateError(
    `the recorder in ${paths.bpffs} is of a newer bpfns: its state is of version ${version}, and this bpfns knows ` +
      `${contract.BPFNS_STATE_VERSION}. Start the newer one again, or end all namespaces first (bpfns ls)`,
  );
}

/** For what reads the maps without the agent. @throws StateError if they are of another layout */
export function requireOwnLayout(): void {
  if (!isInPlace() || stampIn(paths.maps)?.layout === ownLayout) return;
  throw new StateError(
    `the recorder in ${paths.bpffs} is of another version of bpfns: restart the daemon, which takes everything over ` +
      "('bpfns daemon --replace'), or go on with that version",
  );
}

function entries(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
