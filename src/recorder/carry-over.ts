/**
 * An upgrade: a new recorder takes over what another version's recorder has, while guests run. Both are attached
 * for a moment. Up to one rename, the earlier one counts, and whatever fails leaves it as it was; from then on the
 * new one counts, and the next agent finishes what this one could not. docs/decisions/0023-upgrade.md has the
 * reasons for each step and their order.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { kinds } from '../model/ids.js';
import { getInfoByFd, mapLookup, mapUpdate, objGet, runProgram, withObject } from '../sys/bpf.js';
import { BPFNS_NOTING, BPFNS_RECORDING, BPFNS_SETTLING, bpfns_forget } from '../sys/contract.gen.js';
import { check } from '../sys/errno.js';
import { exchange } from '../sys/exchange.js';
import { Fd } from '../sys/fd.js';
import { awaitRunningPrograms } from '../sys/grace.js';
import { bpf_link_info } from '../sys/kernel.gen.js';
import type { BpfObject } from '../sys/libbpf.js';
import { u32Key } from './keys.js';
import { adopt, begin, end, type Loaded } from './loading.js';
import { EarlierMaps, MapCopies } from './map-copies.js';
import { forEachObject, type ObjectRecord, readNewest } from './records.js';
import {
  inUse,
  isOfThisVersion,
  isSame,
  ownStamp,
  type Place,
  requireKnownState,
  StateError,
  stampIn,
  stampsBeforeVersions,
} from './state.js';
import { TaskCopies } from './task-copies.js';

/** What an upgrade has taken over. */
export interface CarriedOver {
  /** Objects that were created once the earlier recorder was detached. */
  readonly noted: number;
  readonly ms: number;
}

/** Where the new recorder is until the exchange, and the earlier one afterwards. */
const aside: Place = { maps: `${paths.upgrade}/maps`, links: `${paths.upgrade}/links` };
/** A directory in those of the new recorder, until the upgrade is finished. */
const UNFINISHED = 'unfinished';
const isUnfinished = (directory: string): boolean => existsSync(`${directory}/${UNFINISHED}`);

/** Rounds in which noted objects get their numbers before the hooks give numbers again. */
const ROUNDS = 3;
/** How long the programs of detached hooks may take to go, in ms. Beyond it, somebody else has them open. */
const PATIENCE = 1000;

interface Upgrade {
  readonly loaded: Loaded;
  readonly carriedOver: CarriedOver;
}

/**
 * Takes over from the recorder of another version.
 * @throws SyscallError, RangeError; that recorder goes on as before, unless the error comes after the exchange: then
 *   {@link finishUpgrade} goes on from there
 */
export function carryOver(): Upgrade {
  const since = performance.now();
  using prepared = new Preparation(aside);
  const before = stampsBeforeVersions();
  try {
    for (const directory of [aside.maps, aside.links]) mkdirSync(`${directory}/${UNFINISHED}`);
    // A program of before state versions must not take the new maps for its own.
    for (const stamp of before) rmdirSync(stamp);
    exchange(inUse.maps, aside.maps);
  } catch (error) {
    for (const stamp of before) mkdirSync(stamp, { recursive: true });
    prepared.abandon();
    throw error;
  }
  return finish(prepared.loaded, since);
}

/**
 * Finishes what an earlier agent began, or removes what it had not got far enough with. @returns undefined if there is
 * nothing to finish. @throws StateError if that agent was of another version; SyscallError
 */
export function finishUpgrade(): Upgrade | undefined {
  if (!isUnfinished(inUse.maps)) {
    rmSync(paths.upgrade, { recursive: true, force: true });
    return undefined;
  }
  if (!isSame(stampIn(inUse.maps), ownStamp())) {
    throw new StateError(
      'an upgrade to another version of bpfns was interrupted: start that version again, which finishes it',
    );
  }
  const since = performance.now();
  bringLinks();
  const loaded = adopt(inUse);
  if (!loaded) throw new StateError(`the hooks in ${inUse.links} are not complete: end all namespaces (bpfns ls)`);
  return finish(loaded, since);
}

/**
 * Does everything in {@link carryOver} that may fail, without taking over. @returns the number of objects; undefined if
 * there is nothing to carry over. @throws SyscallError, RangeError, StateError
 */
export function rehearse(): number | undefined {
  requireKnownState();
  if (isOfThisVersion() || isUnfinished(inUse.maps)) return undefined;
  using prepared = new Preparation(undefined);
  prepared.abandon();
  return prepared.objects;
}

/** The new recorder beside the earlier one. It notes what is created, and has all else that the earlier one has. */
class Preparation implements Disposable {
  readonly loaded: Loaded;
  readonly objects: number;
  readonly #place: Place | undefined;
  readonly #tasks: TaskCopies;

  constructor(place: Place | undefined) {
    this.#place = place;
    using earlier = new EarlierMaps(inUse.maps);
    this.loaded = begin(place, (object) => {
      setPhase(object, BPFNS_NOTING);
      copiesTo(object, earlier).copyFixed();
    });
    const { object } = this.loaded;
    let tasks: TaskCopies | undefined;
    try {
      tasks = new TaskCopies(earlier.find('tasks') ?? -1, object.mapFd('tasks'));
      tasks.copyAll();
      this.objects = copiesTo(object, earlier).copyGrowing();
    } catch (error) {
      tasks?.[Symbol.dispose]();
      this.abandon();
      throw error;
    }
    this.#tasks = tasks;
  }

  /** Removes the new recorder. */
  abandon(): void {
    end(this.loaded);
    if (this.#place) rmSync(paths.upgrade, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.#tasks[Symbol.dispose]();
  }
}

function copiesTo(object: BpfObject, earlier: EarlierMaps): MapCopies {
  return new MapCopies(earlier, (name) => object.mapFd(name));
}

/** The maps have been exchanged: the new recorder counts. Every step can be repeated. */
function finish(loaded: Loaded, since: number): Upgrade {
  const { object } = loaded;
  bringLinks();
  detach(aside.links);
  if (phaseOf(object) === BPFNS_NOTING) {
    using earlier = new EarlierMaps(aside.maps);
    // Now the earlier recorder has everything that it will ever have.
    copiesTo(object, earlier).copyGrowing();
    setPhase(object, BPFNS_SETTLING);
  }
  let noted = 0;
  for (let round = 0; round < ROUNDS; round++) noted += settleAll(object, 'older');
  setPhase(object, BPFNS_RECORDING);
  awaitRunningPrograms();
  noted += settleAll(object, 'all');
  for (const directory of [inUse.links, inUse.maps])
    rmSync(`${directory}/${UNFINISHED}`, { recursive: true, force: true });
  rmSync(paths.upgrade, { recursive: true, force: true });
  return { loaded, carriedOver: { noted, ms: Math.round(performance.now() - since) } };
}

/** Puts the new links in the place of the earlier ones. */
function bringLinks(): void {
  if (isUnfinished(aside.links)) exchange(inUse.links, aside.links);
}

/** Detaches the hooks that are pinned in a directory, and waits until none of them runs. */
function detach(directory: string): void {
  const programs = existsSync(directory) ? readdirSync(directory).map((name) => programOf(`${directory}/${name}`)) : [];
  rmSync(directory, { recursive: true, force: true });
  // The kernel detaches a while after the pin is gone.
  const patientUntil = performance.now() + PATIENCE;
  const isThere = (id: number): boolean => withObject('prog', id, () => true) ?? false;
  while (programs.some(isThere) && performance.now() < patientUntil) sleep(1);
  awaitRunningPrograms();
}

/** The id of the program behind a pinned link; 0 if it is no link. */
function programOf(path: string): number {
  using link = new Fd(objGet(path));
  const info = Buffer.alloc(bpf_link_info.sizeof);
  return link.isOpen && getInfoByFd(link.number, info, info.length) >= 0 ? info.readUInt32LE(bpf_link_info.prog_id) : 0;
}

/**
 * Gives numbers to what was noted, in the order of creation. @returns how many
 * @param which 'older' while more is noted: an object may be seen here without one that its creator made before
 */
function settleAll(object: BpfObject, which: 'older' | 'all'): number {
  const newest = readNewest(object.mapFd('status'));
  const noted: ObjectRecord[] = [];
  forEachObject(object.mapFd('objects'), (record) => {
    const isOlder = (newest(record.kind) - record.host) << 1 >= 0;
    if (record.ids[0] === 0 && (which === 'all' || isOlder)) noted.push(record);
  });
  noted.sort((a, b) => (a.host - b.host) << 1);
  for (const { kind, host } of noted) {
    const context = Buffer.alloc(bpfns_forget.sizeof);
    context.writeUInt32LE(kinds.indexOf(kind), bpfns_forget.kind);
    context.writeUInt32LE(host, bpfns_forget.host_id);
    check(runProgram(object.programFd('settle'), context), 'bpf', 'cannot number an object');
  }
  return noted.length;
}

function phaseOf(object: BpfObject): number {
  const value = Buffer.alloc(4);
  check(mapLookup(object.mapFd('phase'), u32Key(0), value), 'bpf', "cannot read the recorder's phase");
  return value.readUInt32LE(0);
}

function setPhase(object: BpfObject, phase: number): void {
  check(mapUpdate(object.mapFd('phase'), u32Key(0), u32Key(phase)), 'bpf', "cannot write the recorder's phase");
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
