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

/** Looking at all of them takes no more of the time than one part in so many. */
const LOOKING = 10;

/** What a status shows, for however many who ask: every command asks for one. */
export class ShownBudgets {
  readonly #look: () => readonly BudgetReply[];
  readonly #now: () => number;
  #shown: readonly BudgetReply[] = [];
  #nextLook = Number.NEGATIVE_INFINITY;

  /**
   * @param look what there is now
   * @param now a clock, in ms
   */
  constructor(look: () => readonly BudgetReply[], now = () => performance.now()) {
    this.#look = look;
    this.#now = now;
  }

  /** The fullest, as they are or were a moment ago. */
  get(): readonly BudgetReply[] {
    const began = this.#now();
    if (began < this.#nextLook) return this.#shown;
    this.#shown = fullest(this.#look());
    const end = this.#now();
    this.#nextLook = end + LOOKING * (end - began);
    return this.#shown;
  }
}
