/** Measures with many namespaces, many objects and many callers at once. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import {
  ask,
  compare,
  GUEST,
  guest,
  inside,
  minimal,
  parentOf,
  proportionalMemory,
  residentMemory,
  run,
  sleeps,
  warmUp,
  whileActive,
} from './measure.js';
import { mebibytes, perSecond, table } from './report.js';

const PSS_GOAL = 40;
/** How long it is watched, in seconds. */
const REST = 20;
const NAMESPACES = 1000;
const FEW = 10;
const MANY = 100_000;

export function memory(): Promise<string> {
  return whileActive(async ({ pid }) => {
    const resident = (): string => `${mebibytes(residentMemory(pid))} and ${mebibytes(residentMemory(parentOf(pid)))}`;
    const wakeUps = await wakeUpsOf([pid, parentOf(pid)]);
    const rest = [pid, parentOf(pid)].map(proportionalMemory);
    const sum = (of: 'all' | 'own'): string => mebibytes(rest.reduce((total, each) => total + each[of], 0));
    const atRest = resident();
    const names = Array.from({ length: NAMESPACES }, (_, i) => `bench-${i}`);
    const empty = { parent: 'init', pins: 'own', tracing: 'host', ownerUid: 0, maxNamespaces: 0 } as const;
    for (const name of names) await ask({ op: 'create', name, ...empty });
    const withMany = resident();
    for (const namespace of names) await ask({ op: 'remove', namespace });
    const [few, many] = [memoryBeside(pid, FEW), memoryBeside(pid, MANY)];
    const each = (of: 'resident' | 'maps'): number => Math.round((many[of] - few[of]) / (MANY - FEW));
    return `At rest with one namespace, agent and supervisor have ${sum('all')} together (PSS: of pages that others have too, their
share; the goal is ${PSS_GOAL} MiB), of which ${sum('own')} are written by them alone. The rest is mostly Node's own code, which
they share with every other Node process, and which the kernel can drop. Both together wake up ${wakeUps.toFixed(1)} times a second.

Resident memory of agent and supervisor: with one namespace ${atRest}; with ${NAMESPACES.toLocaleString('en')} more ${withMany}.

Beside ${MANY.toLocaleString('en')} maps in one namespace the agent has ${mebibytes(many.resident)} resident, and the recorder's maps take ${mebibytes(many.maps)}:
beyond what they take beside ${FEW}, ${each('resident')} and ${each('maps')} bytes an object.`;
  });
}

/** How often the threads of these processes wake up in a second while nothing happens. */
async function wakeUpsOf(pids: readonly number[]): Promise<number> {
  const count = (): number => pids.map(sleeps).reduce((sum, each) => sum + each);
  // Until then V8 collects what the start has left.
  await pause(REST * 1000);
  const before = count();
  await pause(REST * 1000);
  return (count() - before) / REST;
}

const SEEN = 'build/bench/memory-seen';

/** The memory of the agent and of the recorder's maps, with this many maps in a namespace, in bytes. */
function memoryBeside(pid: number, size: number): { resident: number; maps: number } {
  const look = `${GUEST} get_next_id 1 && cat /proc/${pid}/fdinfo/* >${SEEN}`;
  run([...inside, GUEST, 'maps', String(size), '1', 'sh', '-c', look]);
  // The fds are duplicates of each other: count each map once.
  const maps = readFileSync(SEEN, 'latin1').matchAll(/^memlock:\t(\d+)\nmap_id:\t(\d+)/gm);
  const bytes = new Map([...maps].map(([, memory, id]) => [id, Number(memory)]));
  return { resident: residentMemory(pid), maps: [...bytes.values()].reduce((sum, each) => sum + each, 0) };
}

const CALLS = 20_000;
/** Bpfns over the minimal responder. */
const TOGETHER_GOAL = 0.75;

export function together(): Promise<string> {
  return whileActive(() => {
    const rows = ['get_next_id', 'map_info'].flatMap((what) => {
      warmUp(what);
      return [1, 10, 100].map((callers) =>
        compare(
          `${what}, ${callers} at once`,
          () => guest(inside, 'together', what, CALLS / callers, callers),
          () => guest(minimal, 'together', what, CALLS / callers, callers),
          callers === 10 ? TOGETHER_GOAL : undefined,
          5,
        ),
      );
    });
    return `Calls answered in a second, as many processes calling without a pause, against the minimal responder: here a
higher ratio is better, and the goal is at least that.

${table(rows, 'bpfns', 'minimal C', perSecond)}`;
  });
}
