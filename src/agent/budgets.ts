/** What the top-level namespaces use of their budgets, as status and metrics show it. */
import type { Services } from '../calls/services.js';
import type { BudgetReply } from '../control/budget.js';

export function budgetsOf({ mirror, programs: { memory } }: Services): BudgetReply[] {
  const { model, budgets } = mirror;
  return [...model.init.children].flatMap((top) => {
    const usage = budgets.usage(top);
    if (!usage) return [];
    const { id: namespace, path } = top;
    const namespaces = { namespaces: top.descendants + 1, maxNamespaces: budgets.maxNamespaces };
    // The agent loads no program for a namespace that traces like the host.
    const programMemory = top.spec.tracing === 'host' ? 0 : memory.used(top, mirror);
    return [{ namespace, path, ...usage, ...namespaces, programMemory, maxProgramMemory: memory.most }];
  });
}
