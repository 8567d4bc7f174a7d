/** What the top-level namespaces use of their budgets, as status and metrics show it. */
import type { BudgetReply } from '../control/budget.js';
import type { Mirror } from '../recorder/mirror.js';

export function budgetsOf({ model, budgets }: Mirror): BudgetReply[] {
  return [...model.init.children].flatMap((top) => {
    const usage = budgets.usage(top);
    const namespaces = top.descendants + 1;
    return usage
      ? [{ namespace: top.id, path: top.path, ...usage, namespaces, maxNamespaces: budgets.maxNamespaces }]
      : [];
  });
}
