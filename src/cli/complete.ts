/** Candidates for shell completion. Prints nothing where there are none. */
import { kinds } from '../model/ids.js';
import { idsOf, namespaces } from './host-view.js';

/** @param what 'namespaces', or a kind of object for its host ids */
export async function complete(what: string): Promise<string[]> {
  try {
    if (what === 'namespaces') return (await namespaces()).map(({ path }) => path);
    const kind = kinds.find((each) => each === what);
    return kind ? (await idsOf(kind)).map(String) : [];
  } catch {
    return []; // no agent, neither root nor in the group that may look, or inside a namespace
  }
}
