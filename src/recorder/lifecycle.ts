/** Creates namespaces within the limits, and ends them. */
import { INIT, kinds } from '../model/ids.js';
import { MAX_LEVEL, type Namespace, type TracingMode } from '../model/namespaces.js';
import { bootTimeNs } from '../sys/clock.js';
import { E, Refusal, SyscallError } from '../sys/errno.js';
import type { Inspector } from './inspector.js';
import type { Mirror } from './mirror.js';

/** The properties of a new namespace. */
export interface ChildSpec {
  readonly name: string;
  readonly pinsAny: boolean;
  readonly userNs: number;
  readonly ownerUid: number;
  readonly keep: boolean;
  readonly tracing: TracingMode;
  readonly maxNamespaces: number;
}

/** Called when namespaces are created or end. */
export interface NamespaceWatcher {
  onCreated(namespace: Namespace): void;
  onRemoved(namespace: Namespace): void;
  /** One more in the tree of a top-level namespace, or of init, was refused: a budget or a limit is used up. */
  onTooMany(top: Namespace): void;
}

interface Collecting {
  /** Whether a filter in use means that there are tasks: its end may be unnoticed. */
  readonly trustsFilters?: boolean;
  /** How long to look for dead objects, in ms; the namespaces that are left stay. */
  readonly patience?: number;
  /** It stays, as it is about to get a child. */
  readonly spared?: Namespace;
}

/** How long the dead objects of namespaces may be looked for in one go, in ms. */
const LONGEST_LOOK = 20;
/** After a look, none is made for a filter, or for a guest that has no room, for so many times its length. */
const REST = 4;
/** Objects that are looked at in one go. */
const MANY = 1000;

export class Lifecycle {
  readonly #mirror: Mirror;
  readonly #inspector: Inspector;
  /** The most namespaces that one user may own. */
  readonly #perUser: number;
  readonly #life: NamespaceWatcher;
  /** The number of filters in use, by the namespace for which they were installed. */
  readonly #filters = new Map<Namespace, number>();
  #soon: NodeJS.Timeout | undefined;
  /** By `performance.now()`. */
  #restUntil = 0;
  /** The same for a top-level namespace, or init, after a look that made no room below it. */
  readonly #refusedUntil = new WeakMap<Namespace, number>();

  constructor(mirror: Mirror, inspector: Inspector, perUser: number, life: NamespaceWatcher) {
    this.#life = life;
    this.#mirror = mirror;
    this.#inspector = inspector;
    this.#perUser = perUser;
  }

  /**
   * Creates a namespace. @throws Refusal ENOSPC beyond the depth or a limit, EEXIST if the parent
   * has a child of that name
   */
  create(parent: Namespace, spec: ChildSpec): Namespace {
    if (parent.level >= MAX_LEVEL) {
      throw new Refusal(E.ENOSPC, 'create', `no more namespaces: this would be below level ${MAX_LEVEL}`);
    }
    try {
      return this.#create(parent, spec);
    } catch (error) {
      if (error instanceof Refusal && error.errno === E.ENOSPC) this.#life.onTooMany(parent.top);
      throw error;
    }
  }

  #create(parent: Namespace, spec: ChildSpec): Namespace {
    const isTaken = (): boolean => parent.childCalled(spec.name) !== undefined;
    const isRefused = (): boolean => this.#isFull(parent, spec.ownerUid) || isTaken();
    const { tracing } = parent.spec;
    if (tracing !== 'host' && tracing !== spec.tracing) {
      throw new Refusal(E.EINVAL, 'create', `namespaces below '${parent.path}' have tracing=${tracing}, as it has`);
    }
    // Namespaces that have ended unnoticed do not count.
    if (isRefused()) this.#makeRoom(parent, isRefused);
    if (this.#isFull(parent, spec.ownerUid)) {
      throw new Refusal(E.ENOSPC, 'create', 'no more namespaces: a limit on their number is reached');
    }
    if (isTaken()) {
      throw new Refusal(E.EEXIST, 'create', `there is a namespace '${spec.name}' already`);
    }
    const created = this.#mirror.create({ ...spec, parent: parent.id, createdNs: bootTimeNs() });
    this.#life.onCreated(created);
    return created;
  }

  /** A guest that goes on asking has others wait for a look each time, but for a part of the time only. */
  #makeRoom(parent: Namespace, isRefused: () => boolean): void {
    const began = performance.now();
    if (began < (this.#refusedUntil.get(parent.top) ?? 0)) return;
    this.collect({ spared: parent });
    const end = performance.now();
    if (isRefused()) this.#refusedUntil.set(parent.top, end + REST * (end - began));
  }

  #isFull(parent: Namespace, uid: number): boolean {
    let owned = 0;
    for (const { id, spec } of this.#mirror.model.each()) if (id !== INIT && spec.ownerUid === uid) owned++;
    if (owned >= this.#perUser || this.#mirror.budgets.isFull(parent)) return true;
    for (let at: Namespace | undefined = parent; at; at = at.parent) {
      if (at.spec.maxNamespaces > 0 && at.descendants >= at.spec.maxNamespaces) return true;
    }
    return false;
  }

  /** Called when a filter of this namespace comes into use. As long as it is used, the namespace has tasks. */
  addFilter(namespace: Namespace): void {
    this.#filters.set(namespace, (this.#filters.get(namespace) ?? 0) + 1);
  }

  /** Called when the last task under one of its filters has ended. */
  dropFilter(namespace: Namespace): void {
    const left = (this.#filters.get(namespace) ?? 0) - 1;
    if (left > 0) this.#filters.set(namespace, left);
    else this.#filters.delete(namespace);
    this.#collectSoon();
  }

  /**
   * Once for all filters that fall out of use meanwhile: to look at all tasks and namespaces for each
   * one would take minutes where thousands end.
   */
  #collectSoon(): void {
    this.#soon ??= setTimeout(
      () => {
        this.#soon = undefined;
        this.collectSome();
      },
      Math.max(0, this.#restUntil - performance.now()),
    );
  }

  /** Nothing is looked at any more. */
  close(): void {
    clearTimeout(this.#soon);
  }

  /** Removes every namespace that has no task, no child and no live object, and is not kept by name. */
  collect({ trustsFilters = true, patience = Number.POSITIVE_INFINITY, spared }: Collecting = {}): void {
    const began = performance.now();
    const isCandidate = (each: Namespace): boolean => each !== spared && !this.#isNeeded(each, trustsFilters);
    this.#endUnused(isCandidate, began + patience);
    const end = performance.now();
    this.#restUntil = end + REST * (end - began);
  }

  /** As {@link collect}, for a short time: the rest is found later. */
  collectSome(): void {
    this.collect({ patience: LONGEST_LOOK });
  }

  /** @param until when it is time for others: objects that were not looked at by then count as alive */
  #endUnused(isCandidate: (namespace: Namespace) => boolean, until: number): void {
    const candidates = [...this.#mirror.model.each()].filter(isCandidate);
    if (candidates.length === 0) return;
    // The walk takes a while. A task that forks and exits during it may be missed together with its
    // child.
    const startedBefore = new Map(candidates.map((namespace) => [namespace, this.#mirror.tasksStarted(namespace)]));
    const populated = this.#populated();
    if (!populated) return;
    this.#mirror.update();
    // Also learns of tasks whose mark was lost, which may be in a namespace that seems empty.
    this.#mirror.checkOverflow();
    // Children before parents: the end of a child may end the parent too.
    for (const namespace of candidates.reverse()) {
      if (namespace.children.size > 0 || populated.has(namespace.id) || this.#ownsLiveObject(namespace, until))
        continue;
      if (startedBefore.get(namespace) !== this.#mirror.tasksStarted(namespace)) continue;
      this.#mirror.remove(namespace);
      this.#life.onRemoved(namespace);
    }
  }

  /** The namespaces that have tasks, or are about to; undefined if there is no memory or fd to find out. */
  #populated(): ReadonlySet<number> | undefined {
    try {
      return new Set(this.#inspector.members().flatMap(({ ns, next }) => [ns, next]));
    } catch (error) {
      if (error instanceof Refusal || (error instanceof SyscallError && error.errno === E.ENOMEM)) return undefined;
      throw error;
    }
  }

  /** Releases a namespace that {@link ChildSpec.keep} kept. It ends once it is empty. */
  release(namespace: Namespace): void {
    this.#mirror.setKeep(namespace, false);
    this.collect();
  }

  #isNeeded(namespace: Namespace, trustsFilters: boolean): boolean {
    return namespace.id === INIT || namespace.keep || (trustsFilters && this.#filters.has(namespace));
  }

  #ownsLiveObject(namespace: Namespace, until: number): boolean {
    // Its dead are about to be found in slices: to look at all of them now would hold up every call.
    if (this.#mirror.sweeper.isBehind && kinds.some((kind) => namespace.owned[kind].size > MANY)) return true;
    for (const kind of kinds) {
      // A dead one is taken out of the set, which a Set permits.
      for (const host of namespace.owned[kind]) {
        if (this.#mirror.isAlive(kind, host) || performance.now() > until) return true;
      }
    }
    return false;
  }
}
