/**
 * The namespace model: the tree of namespaces, and the id of every object in each. It is pure:
 * the recorder in the kernel hands the numbers out, the model mirrors them and answers questions.
 */
import { type HostId, INIT, INVISIBLE, type Kind, kinds, type NamespaceId, type NsId, nsId } from './ids.js';
import { Numbers } from './numbers.js';

/**
 * What the tasks of a namespace may trace: all that their capabilities allow; their own tasks, with
 * CAP_BPF alone; their own tasks, as a convenience; nothing.
 */
export const tracingModes = ['host', 'own', 'filtered', 'none'] as const;
export type TracingMode = (typeof tracingModes)[number];

/** The properties with which a namespace was created; they never change. */
export interface NamespaceSpec {
  readonly id: NamespaceId;
  readonly parent: NamespaceId;
  /** '' if the namespace has no name. */
  readonly name: string;
  /** Whether BPF_OBJ_GET may open pins of objects that are not visible. */
  readonly pinsAny: boolean;
  /** Inode of the owning user namespace: the one in which CAP_BPF counts. */
  readonly userNs: number;
  readonly ownerUid: number;
  /** In nanoseconds of CLOCK_BOOTTIME. */
  readonly createdNs: bigint;
  /** Whether `bpfns create` made it: it then lives without tasks and objects. */
  readonly keep: boolean;
  /** The parent's, unless that is `host`. */
  readonly tracing: TracingMode;
  /** The most namespaces below it, at any depth; 0 for no limit of its own. */
  readonly maxNamespaces: number;
}

/** The deepest level below init, as for PID namespaces. */
export const MAX_LEVEL = 32;

export class Namespace {
  readonly spec: NamespaceSpec;
  readonly parent: Namespace | undefined;
  /** 0 for init. */
  readonly level: number;
  readonly numbers: Readonly<Record<Kind, Numbers>> = {
    map: new Numbers(),
    prog: new Numbers(),
    link: new Numbers(),
    btf: new Numbers(),
  };
  /** Objects whose creator was in this very namespace. */
  readonly owned: Readonly<Record<Kind, Set<HostId>>> = {
    map: new Set(),
    prog: new Set(),
    link: new Set(),
    btf: new Set(),
  };
  readonly children = new Set<Namespace>();
  /** True while it lives without tasks and objects; `bpfns rm` clears it. */
  keep: boolean;

  constructor(spec: NamespaceSpec, parent: Namespace | undefined) {
    this.spec = spec;
    this.keep = spec.keep;
    this.parent = parent;
    this.level = parent ? parent.level + 1 : 0;
  }

  get id(): NamespaceId {
    return this.spec.id;
  }

  /**
   * The names from the top down: 'web' or 'web/build'. A namespace without a name appears as
   * its id.
   */
  get path(): string {
    const own = this.spec.name === '' ? String(this.id) : this.spec.name;
    return this.parent?.parent ? `${this.parent.path}/${own}` : own;
  }

  /** The namespace directly below init that it is in, or is; init for init. */
  get top(): Namespace {
    return this.parent?.parent ? this.parent.top : this;
  }

  /** From init down to itself: one a level. */
  get ancestry(): NamespaceId[] {
    return [...(this.parent?.ancestry ?? []), this.id];
  }

  /** The namespace of that name directly below it; undefined for '', as many may have no name. */
  childCalled(name: string): Namespace | undefined {
    return name === '' ? undefined : [...this.children].find(({ spec }) => spec.name === name);
  }

  /** Namespaces below it, at any depth. */
  get descendants(): number {
    return [...this.children].reduce((sum, child) => sum + 1 + child.descendants, 0);
  }
}

interface ObjectEntry {
  readonly owner: Namespace;
  /** ids[level] for every level from 0 (the host id) to the owner's. */
  readonly ids: readonly number[];
}

/** Whether `upper` is `lower` or one of its ancestors. Compares the chain, not the depth (the RFC's leak). */
export function isSameOrAncestor(upper: Namespace, lower: Namespace): boolean {
  let at: Namespace | undefined = lower;
  while (at && at.level > upper.level) at = at.parent;
  return at === upper;
}

export class Namespaces {
  readonly init: Namespace;
  readonly #byId = new Map<NamespaceId, Namespace>();
  readonly #objects: Readonly<Record<Kind, Map<HostId, ObjectEntry>>> = {
    map: new Map(),
    prog: new Map(),
    link: new Map(),
    btf: new Map(),
  };

  constructor() {
    this.init = new Namespace(
      {
        id: INIT,
        parent: INIT,
        name: 'init',
        pinsAny: true,
        userNs: 0,
        ownerUid: 0,
        createdNs: 0n,
        keep: true,
        tracing: 'host',
        maxNamespaces: 0,
      },
      undefined,
    );
    this.#byId.set(INIT, this.init);
  }

  get(id: NamespaceId): Namespace | undefined {
    return this.#byId.get(id);
  }

  /** Finds a namespace by id or path. */
  find(reference: string): Namespace | undefined {
    if (/^\d+$/.test(reference)) return this.get(Number(reference) as NamespaceId);
    for (const namespace of this.each()) if (namespace.path === reference) return namespace;
    return undefined;
  }

  /** How many there are, with init. */
  get count(): number {
    return this.#byId.size;
  }

  /** All namespaces, in the order in which they were added: parents before children. */
  each(): IterableIterator<Namespace> {
    return this.#byId.values();
  }

  /** All namespaces by level, for people. It takes long if there are many. */
  all(): Namespace[] {
    return [...this.#byId.values()].sort((a, b) => a.level - b.level || a.id - b.id);
  }

  /** Adds a namespace below its parent. @returns undefined if the parent does not exist */
  add(spec: NamespaceSpec): Namespace | undefined {
    const parent = this.#byId.get(spec.parent);
    if (!parent) return undefined;
    const namespace = new Namespace(spec, parent);
    parent.children.add(namespace);
    this.#byId.set(spec.id, namespace);
    return namespace;
  }

  /** Removes a namespace that has no children and owns no objects. */
  remove(namespace: Namespace): void {
    namespace.parent?.children.delete(namespace);
    this.#byId.delete(namespace.id);
  }

  /** Adds an object: its owner, and its id at every level. ids[0] is the host id. */
  record(kind: Kind, host: HostId, owner: Namespace, ids: readonly number[]): void {
    this.#objects[kind].set(host, { owner, ids });
    owner.owned[kind].add(host);
    for (let at = owner; at.parent; at = at.parent) at.numbers[kind].add(nsId(ids[at.level] ?? 0), host);
  }

  /** Removes an object that is dead. */
  forget(kind: Kind, host: HostId): void {
    const entry = this.#objects[kind].get(host);
    if (!entry) return;
    this.#objects[kind].delete(host);
    entry.owner.owned[kind].delete(host);
    for (let at = entry.owner; at.parent; at = at.parent) {
      at.numbers[kind].remove(nsId(entry.ids[at.level] ?? 0));
    }
  }

  /** Makes a kernel-owned BTF visible in one namespace: its number is its host id, everywhere. */
  numberKernelBtf(namespace: Namespace, host: HostId): void {
    namespace.numbers.btf.add(nsId(host), host);
  }

  /** The namespace that owns an object; init if the object has no record. */
  ownerOf(kind: Kind, host: HostId): Namespace {
    return this.#objects[kind].get(host)?.owner ?? this.init;
  }

  isRecorded(kind: Kind, host: HostId): boolean {
    return this.#objects[kind].has(host);
  }

  /** Every recorded object. Objects that are added or removed during the iteration may or may not appear. */
  *everything(): Generator<readonly [Kind, HostId]> {
    for (const kind of kinds) for (const host of this.#objects[kind].keys()) yield [kind, host];
  }

  /** The id of an object in a namespace; {@link INVISIBLE} if it is not visible there. */
  idIn(namespace: Namespace, kind: Kind, host: HostId): NsId {
    if (namespace === this.init) return nsId(host);
    return namespace.numbers[kind].idOf(host) ?? INVISIBLE;
  }
}
