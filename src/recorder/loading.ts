/** Loads the recorder's object file, attaches its hooks, and pins both. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { architecture } from '../sys/architecture.js';
import { type Attached, BpfObject } from '../sys/libbpf.js';
import { bpfObjectPath } from '../sys/object-path.js';
import {
  type Backend,
  backends,
  backendsToTry,
  callHooks,
  forkHooksToTry,
  functionHooks,
  type Hook,
  hookNames,
  hooks,
} from './hooks.js';
import { type Place, stamp } from './state.js';

const mapNames = [
  'namespaces',
  'next_namespace',
  'budgets',
  'counters',
  'objects',
  'ids',
  'tasks',
  'lost',
  'filters',
  'creators',
  'phase',
  'status',
  'unowned',
  'events',
] as const;
export type MapName = (typeof mapNames)[number];

/** A recorder that runs. Close both when done: what is pinned stays. */
export interface Loaded {
  readonly object: BpfObject;
  readonly links: readonly Attached[];
  readonly backend: Backend;
}

/**
 * Loads the object, has `fill` write what the hooks need from the start, and attaches them.
 * @param place where it is pinned; undefined: nowhere, so that it ends when it is closed
 * @throws AggregateError with the reason for each set of hooks; what was pinned is gone then
 */
export function begin(place: Place | undefined, fill: (object: BpfObject) => void): Loaded {
  const failures: Error[] = [];
  for (const { backend, wanted } of setsToTry()) {
    if (place) removePins(place);
    try {
      const object = load(place, wanted);
      return { object, links: attachAll(object, place, wanted, fill), backend };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failures.push(error);
    }
  }
  if (place) removePins(place);
  throw new AggregateError(failures, failures.map(({ message }) => message).join('; '));
}

/** What an earlier agent of this very version has pinned; undefined if its hooks are not complete. @throws SyscallError */
export function adopt(place: Place): Loaded | undefined {
  const isPinned = (hook: Hook): boolean => existsSync(`${place.links}/${hook}`);
  const backend = backends.find((each) => callHooks[each].every(isPinned));
  return backend && { object: load(place, []), links: [], backend };
}

/** Closes a recorder that is pinned nowhere: it ends. */
export function end({ links, object }: Loaded): void {
  for (const link of links) link.close();
  object.close();
}

/** Removes what a failed or interrupted attempt has pinned, and makes room for the next. */
function removePins({ maps, links }: Place): void {
  for (const directory of [links, maps]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  stamp(maps);
}

/** Each backend, with each set of fork hooks; best first. */
function setsToTry(): ReadonlyArray<{ backend: Backend; wanted: readonly Hook[] }> {
  const forks = forkHooksToTry();
  return backendsToTry().flatMap((backend) =>
    forks.map((each) => ({ backend, wanted: [...each, ...callHooks[backend]] })),
  );
}

/** Loads the object with these hooks and the programs that are run explicitly. */
function load(place: Place | undefined, wanted: readonly Hook[]): BpfObject {
  const object = new BpfObject(bpfObjectPath('recorder'));
  try {
    if (place) for (const name of mapNames) object.pinMap(name, `${place.maps}/${name}`);
    for (const hook of hookNames) if (!wanted.includes(hook)) object.skip(hook);
    for (const hook of functionHooks) {
      if (wanted.includes(hook)) object.target(hook, architecture.bpfFunction);
    }
    object.load();
  } catch (error) {
    object.close();
    throw error;
  }
  return object;
}

function attachAll(
  object: BpfObject,
  place: Place | undefined,
  wanted: readonly Hook[],
  fill: (object: BpfObject) => void,
): Attached[] {
  const links: Attached[] = [];
  try {
    fill(object);
    for (const hook of wanted) links.push(hooks[hook](object, hook));
    for (const [i, link] of place ? links.entries() : []) link.pin(`${place?.links}/${wanted[i]}`);
  } catch (error) {
    for (const link of links) link.close();
    object.close();
    throw error;
  }
  return links;
}
