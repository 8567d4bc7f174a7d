/**
 * Keeps the model in step with the recorder's maps: the ring brings new records, a
 * lost event makes it read the maps again, dead objects are found by their host id.
 */

import { type HostId, INIT, type Kind, kinds, type NamespaceId, type NsId, namespaceId } from '../model/ids.js';
import { type Namespace, type NamespaceSpec, Namespaces } from '../model/namespaces.js';
import type { ObjectEvent } from '../model/object-event.js';
import { getNextId, mapDelete, mapLookup, mapUpdate } from '../sys/bpf.js';
import { BPFNS_TASKS, bpfns_counter, bpfns_event } from '../sys/contract.gen.js';
import { E, Refusal } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { Ring } from '../sys/ring.js';
import { Budgets, type Limits } from './budgets.js';
import { KernelBtf } from './kernel-btf.js';
import { u32Key } from './keys.js';
import { LivingIds } from './living.js';
import { NamespaceIds } from './namespace-ids.js';
import type { Recorder } from './recorder.js';
import {
  counted,
  counterKey,
  decodeObject,
  encodeNamespace,
  forEachObject,
  newCounter,
  type ObjectRecord,
  objectsInParts,
  readNamespaces,
  readNewest,
  readObject,
  readStatus,
} from './records.js';
import { Rereading } from './rereading.js';
import { Sweeper } from './sweeper.js';
import { type TaskHandle, TaskStates } from './task-states.js';

/**
 * Of 4,096 records each: as much is read in one turn, and others wait for that some 100 ms. A machine seldom has more,
 * and where it does, what was lost is not known with the next call, but some calls later.
 */
const PARTS = 16;
/** Far fewer than the ring holds (bpf/maps.h). */
const MANY_EVENTS = 1000;

export class Mirror {
  /** Told of objects as they are noted and found dead; of those noted before this agent started only the latter. */
  onObject: (event: ObjectEvent) => void = () => undefined;
  /** Told of objects that were created beyond a top-level namespace's budget, and so belong to init. */
  onUnowned: (top: Namespace, count: number) => void = () => undefined;
  /** Told of a thread that could not be marked. */
  onLostTask: (tid: number) => void = () => undefined;
  readonly model = new Namespaces();
  readonly budgets: Budgets;
  readonly kernelBtf: KernelBtf;
  /** Open as long as this. */
  readonly recorder: Recorder;
  readonly #ids: NamespaceIds;
  readonly #ring: Ring;
  readonly #tasks: TaskStates;
  readonly #living = new LivingIds();
  /** Looks for the dead: {@link update} lets it for a moment; the rest is to be asked for. */
  readonly sweeper = new Sweeper(
    () => this.model.everything(),
    (kind, host) => this.isAlive(kind, host),
    () => this.#living.forgetGaps(),
  );
  readonly #rereading = new Rereading(() =>
    objectsInParts(this.recorder.mapFd('objects'), (object) => this.#record(object)),
  );
  /** How many records were taken in so far. */
  recorded = 0;
  #overflows = 0;
  #hasLostTasks = false;
  #lost = 0;
  /** Until the next {@link checkOverflow}: what was lost is counted a moment after it was. */
  #mayHaveLost = false;

  /** @param limits of the top-level namespaces that are made from now on */
  constructor(recorder: Recorder, limits: Limits) {
    this.recorder = recorder;
    this.budgets = new Budgets(recorder, limits);
    this.#ids = new NamespaceIds(recorder.mapFd('next_namespace'));
    this.#tasks = new TaskStates(recorder);
    this.#ring = new Ring(recorder.mapFd('events'), (record) => this.#onEvent(record));
    for (const spec of readNamespaces(recorder.mapFd('namespaces'))) this.model.add(spec);
    forEachObject(recorder.mapFd('objects'), (object) => this.#record(object));
    this.kernelBtf = new KernelBtf(recorder.mapFd('ids'), this.model, this.budgets);
    this.#readLost();
  }

  /** The id that the next namespace will get. */
  get nextNamespace(): number {
    return this.#ids.next;
  }

  /** Takes in what the recorder noted. Call before every answer. @param patience to look for the dead, in ms */
  update(patience = 0): void {
    // A ring that held that much was perhaps full: then the caller's last creation may not have got into it.
    if (this.#ring.consume() >= MANY_EVENTS) this.#mayHaveLost = true;
    if (this.#mayHaveLost) this.#readLost();
    this.sweeper.catchUp(patience);
  }

  /** Readable when it is high time for {@link update}: the ring is half full. Open as long as the mirror. */
  get eventsFd(): number {
    return this.recorder.mapFd('events');
  }

  /** The same, whatever there was in the ring. Call now and then. */
  checkOverflow(): void {
    this.#mayHaveLost = false;
    this.#readLost();
  }

  /** If events were lost since the last look, reads the maps again. */
  #readLost(): void {
    const { ringOverflows, lostObjects, lostTasks } = readStatus(this.recorder.mapFd('status'));
    this.#hasLostTasks = lostTasks > 0;
    if (lostObjects !== this.#lost) this.#tellUnowned();
    this.#lost = lostObjects;
    // What is lost from now on may be in a part that has been read by then.
    if (ringOverflows !== this.#overflows && this.#rereading.begin()) this.#overflows = ringOverflows;
    this.#rereading.goOn(PARTS);
    this.#mayHaveLost = this.#rereading.isUnderWay || ringOverflows !== this.#overflows;
  }

  #tellUnowned(): void {
    for (const top of this.model.init.children) {
      const count = this.budgets.newlyUnowned(top);
      if (count > 0) this.onUnowned(top, count);
    }
  }

  /**
   * Creates a namespace and numbers the kernel's BTF in it. @throws Refusal ENOSPC if there is no room, in the
   * tables or in the budget of its top-level namespace, or if all ids are used up
   */
  create(spec: Omit<NamespaceSpec, 'id'>): Namespace {
    const namespace = this.model.add({ ...spec, id: this.#ids.take() });
    if (!namespace) throw new Refusal(E.ENOENT, 'create', `there is no namespace ${spec.parent} to be its parent`);
    if (!this.#write(namespace)) {
      this.remove(namespace);
      throw new Refusal(E.ENOSPC, 'create', 'no more namespaces: the recorder has no room');
    }
    this.kernelBtf.numberAll(namespace);
    return namespace;
  }

  /** False if a table or the budget has no room. */
  #write(namespace: Namespace): boolean {
    const { id } = namespace;
    // No task is in it yet: whatever will be made in it is newer, and has a higher host id.
    const newest = readNewest(this.recorder.mapFd('status'));
    const floorOf = (what: (typeof counted)[number]): number => (what === 'task' ? 0 : newest(what));
    const written = [
      ...counted.map((what) =>
        mapUpdate(this.recorder.mapFd('counters'), counterKey(id, what), newCounter(floorOf(what))),
      ),
      mapUpdate(this.recorder.mapFd('namespaces'), u32Key(id), encodeNamespace(namespace)),
    ];
    return written.every((result) => result >= 0) && this.budgets.begin(namespace, this.kernelBtf.find());
  }

  /** Whether a namespace lives without tasks and objects. */
  setKeep(namespace: Namespace, keep: boolean): void {
    namespace.keep = keep;
    mapUpdate(this.recorder.mapFd('namespaces'), u32Key(namespace.id), encodeNamespace(namespace));
  }

  /** Removes a namespace that has no child and owns nothing. */
  remove(namespace: Namespace): void {
    this.model.remove(namespace);
    this.budgets.end(namespace, this.kernelBtf.drop(namespace));
    for (const what of counted) mapDelete(this.recorder.mapFd('counters'), counterKey(namespace.id, what));
    mapDelete(this.recorder.mapFd('namespaces'), u32Key(namespace.id));
  }

  /** How many tasks have started in it so far, by fork. */
  tasksStarted(namespace: Namespace): bigint {
    const value = newCounter(0);
    mapLookup(this.recorder.mapFd('counters'), counterKey(namespace.id, 'task'), value);
    return value.readBigUInt64LE(bpfns_counter.allocated);
  }

  /** Whether the object still exists; if not it is forgotten everywhere. */
  isAlive(kind: Kind, host: HostId): boolean {
    if (this.#living.isAlive(kind, host)) return true;
    this.forget(kind, host);
    return false;
  }

  /** The lowest living host id from `host` on; what lies between is dead. -ENOENT if there is none. */
  nextAlive(kind: Kind, host: HostId): number {
    return getNextId(kind, host - 1);
  }

  forget(kind: Kind, host: HostId): void {
    if (this.model.isRecorded(kind, host)) this.#tell('object-gone', kind, host);
    this.model.forget(kind, host);
    this.recorder.forget(kinds.indexOf(kind), host);
  }

  /** What an id means in a namespace: an object's id there, or the host id of one that is visible. */
  resolve(namespace: Namespace, kind: Kind, id: number): HostId | undefined {
    return namespace.numbers[kind].resolve(id, (host) => this.isAlive(kind, host));
  }

  /** What an object is called in a namespace; INVISIBLE if it is not visible there. */
  idIn(namespace: Namespace, kind: Kind, host: HostId): NsId {
    const isLost = this.#mayHaveLost && !this.model.isRecorded(kind, host);
    const found = isLost ? readObject(this.recorder.mapFd('objects'), kind, host) : undefined;
    if (found) this.#record(found.object);
    return this.model.idIn(namespace, kind, host);
  }

  /**
   * Puts every task under a listener's filter into a namespace, with what they made under
   * it so far; init: takes the filter out again. @returns -errno
   */
  bindFilter(listener: number, ns: NamespaceId): number {
    const result = this.recorder.bindFilter(listener, ns);
    this.update();
    return result;
  }

  /** The recorder's states of threads. */
  get tasks(): TaskStates {
    return this.#tasks;
  }

  /**
   * The namespace that a thread was put into or forked in; init's if it is in none or gone,
   * or in one by its filter alone.
   */
  namespaceOf(task: TaskHandle): NamespaceId {
    return namespaceId(task.read()?.ns ?? INIT);
  }

  /** As {@link namespaceOf}, for the process behind a pidfd. */
  namespaceOfProcess(pidfd: Fd): NamespaceId {
    return namespaceId(this.#tasks.readByPidfd(pidfd)?.ns ?? INIT);
  }

  /** Puts the process behind a pidfd, and what it forks from now on, into a namespace. @returns -errno */
  enter(pidfd: Fd, namespace: Namespace): number {
    return this.#tasks.writeByPidfd(pidfd, { ns: namespace.id, next: INIT });
  }

  close(): void {
    this.#tasks.close();
  }

  /** Whether a task's mark was ever lost. */
  get hasLostTasks(): boolean {
    return this.#hasLostTasks;
  }

  /**
   * Whether the recorder could not mark a thread when it was forked: it may belong to any namespace below that
   * of its filter, and counts for none.
   */
  isLost(tid: number): boolean {
    if (mapLookup(this.recorder.mapFd('lost'), u32Key(tid), u32Key(0)) >= 0) return true;
    return this.#hasLostTasks && readStatus(this.recorder.mapFd('status')).lostUnknown > 0;
  }

  #onEvent(event: Buffer): void {
    const kind = event.readUInt32LE(bpfns_event.key_kind);
    const id = event.readUInt32LE(bpfns_event.key_host_id);
    if (kind === BPFNS_TASKS) {
      this.#hasLostTasks = true;
      this.onLostTask(id);
      return;
    }
    const object = decodeObject(kind, id, event, bpfns_event.object);
    this.#record(object);
  }

  #record({ kind, host, owner, ids }: ObjectRecord): void {
    const namespace = this.model.get(owner);
    if (!namespace || (this.model.isRecorded(kind, host) && this.model.ownerOf(kind, host) === namespace)) return;
    // Recorded as init's before, and taken over by a container's namespace since.
    this.model.forget(kind, host);
    this.model.record(kind, host, namespace, ids);
    this.sweeper.note(kind, host);
    this.recorded++;
    this.#tell('object-created', kind, host);
  }

  #tell(event: ObjectEvent['event'], kind: Kind, host: HostId): void {
    const owner = this.model.ownerOf(kind, host);
    this.onObject({ event, kind, hostId: host, namespace: owner.id, id: this.model.idIn(owner, kind, host) });
  }
}
