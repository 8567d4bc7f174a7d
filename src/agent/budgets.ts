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

/** The most that a status tells about: a reply is one line, of at most 64 KiB. */
export const MOST_SHOWN = 32;

/** Those that are fullest, or beyond; the fullest first. */
export function fullest(budgets: readonly BudgetReply[]): BudgetReply[] {
  return budgets
    .map((budget) => ({ budget, share: usedShare(budget) }))
    .sort((a, b) => b.share - a.share)
    .slice(0, MOST_SHOWN)
    .map(({ budget }) => budget);
}

/** Of that part of the budget of which most is used; above 1 if objects are beyond it. */
function usedShare(budget: BudgetReply): number {
  return Math.max(
    budget.unowned > 0 ? 2 : 0,
    budget.objects / budget.maxObjects,
    budget.numbers / budget.maxNumbers,
    budget.namespaces / budget.maxNamespaces,
    budget.programMemory / budget.maxProgramMemory,
  );
}
