/** The budgets of top-level namespaces, as the agent shows them. */

/** What a top-level namespace uses, with everything below it, and the most that it may. */
export interface BudgetReply {
  readonly namespace: number;
  readonly path: string;
  readonly objects: number;
  readonly maxObjects: number;
  /** Ids: one for each object and level, and for each kernel-owned BTF and namespace. */
  readonly numbers: number;
  readonly maxNumbers: number;
  readonly namespaces: number;
  readonly maxNamespaces: number;
  /** Bytes of the programs that the agent has loaded for it, which are charged to the agent. */
  readonly programMemory: number;
  readonly maxProgramMemory: number;
  /** Objects that were created beyond the budget so far: they belong to init. */
  readonly unowned: number;
}
