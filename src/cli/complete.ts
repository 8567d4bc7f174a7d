/** Candidates for shell completion. Prints nothing where there are none. */
import { idsOf, readRecords } from '../host/inventory.js';
import { kinds } from '../model/ids.js';

/** @param what 'namespaces', or a kind of object for its host ids */
export function complete(what: string): string[] {
  try {
    if (what === 'namespaces')
      return readRecords()
        .model.all()
        .map(({ path }) => path);
    const kind = kinds.find((each) => each === what);
    return kind ? idsOf(kind).map(String) : [];
  } catch {
    return []; // not root, or inside a namespace
  }
}
