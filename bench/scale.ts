/** Many namespaces, many callers at once. */
import { ask, compare, guest, inC, inside, parentOf, residentMemory, whileActive } from './measure.js';
import { mebibytes, perSecond, table } from './report.js';

const NAMESPACES = 1000;

export function memory(): Promise<string> {
  return whileActive(async ({ pid }) => {
    const resident = (): string => `${mebibytes(residentMemory(pid))} and ${mebibytes(residentMemory(parentOf(pid)))}`;
    const atRest = resident();
    const names = Array.from({ length: NAMESPACES }, (_, i) => `bench-${i}`);
    const empty = { parent: 'init', pins: 'own', ownerUid: 0, maxNamespaces: 0 } as const;
    for (const name of names) await ask({ op: 'create', name, ...empty });
    const withMany = resident();
    for (const namespace of names) await ask({ op: 'remove', namespace });
    return `Resident memory of agent and holder: with one namespace ${atRest}; with ${NAMESPACES.toLocaleString('en')} more ${withMany}.`;
  });
}

const CALLS = 20_000;

export function together(): Promise<string> {
  return whileActive(() => {
    const rows = ['get_next_id', 'map_info'].flatMap((what) =>
      [1, 10, 100].map((callers) =>
        compare(
          `${what}, ${callers} at once`,
          () => guest(inside, 'together', what, CALLS / callers, callers),
          () => guest(inC, 'together', what, CALLS / callers, callers),
        ),
      ),
    );
    return `Calls answered in a second, as many processes calling without a pause: here a higher ratio is better.\n\n${table(rows, 'bpfns', 'C', perSecond)}`;
  });
}
