/** What happens to namespaces, and what is refused to them, told as events. */
import type { BudgetEvent, NamespaceEvent } from '../control/events.js';
import type { Namespace } from '../model/namespaces.js';
import { removeLabels } from '../recorder/container-labels.js';
import type { NamespaceWatcher } from '../recorder/lifecycle.js';
import type { Events } from '../telemetry/events.js';
import type { Statistics } from '../telemetry/statistics.js';

const NO_WALL =
  'filtered keeps the noise of others out, but is no wall: who has CAP_PERFMON can trace the whole machine';

/** @param onCreated is told, too */
export function lifeOf(
  events: Events,
  statistics: Statistics,
  onCreated: (namespace: Namespace) => void,
): NamespaceWatcher {
  const tell = (event: NamespaceEvent['event'], { id, path, level, spec: { tracing } }: Namespace): void =>
    events.emit({ event, namespace: id, path, level, tracing, note: tracing === 'filtered' ? NO_WALL : null });
  return {
    onCreated: (namespace) => {
      tell('namespace-created', namespace);
      onCreated(namespace);
    },
    onRemoved: (namespace) => {
      removeLabels(namespace.id);
      statistics.namespaces.delete(namespace.id);
      tell('namespace-gone', namespace);
    },
    onTooMany: (top) => tellOfBudget(events, top, 'namespaces', 1),
  };
}

export function tellOfBudget(events: Events, { id, path }: Namespace, what: BudgetEvent['what'], count: number): void {
  events.emit({ event: 'over-budget', what, count, namespace: id, path });
}
