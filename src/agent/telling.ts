/** What happens to namespaces, told as events. */
import type { NamespaceEvent } from '../control/events.js';
import type { Namespace } from '../model/namespaces.js';
import { removeLabels } from '../recorder/container-labels.js';
import type { NamespaceWatcher } from '../recorder/lifecycle.js';
import type { Events } from '../telemetry/events.js';
import type { Statistics } from '../telemetry/statistics.js';

export function lifeOf(events: Events, statistics: Statistics): NamespaceWatcher {
  const tell = (event: NamespaceEvent['event'], { id, path, level }: Namespace): void =>
    events.emit({ event, namespace: id, path, level });
  return {
    onCreated: (namespace) => tell('namespace-created', namespace),
    onRemoved: (namespace) => {
      removeLabels(namespace.id);
      statistics.namespaces.delete(namespace.id);
      tell('namespace-gone', namespace);
    },
    onTooMany: ({ id, path }) =>
      events.emit({ event: 'over-budget', what: 'namespaces', count: 1, namespace: id, path }),
  };
}
