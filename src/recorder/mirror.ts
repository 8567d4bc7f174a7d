/**
 * Keeps the model in step with the recorder's maps: the ring brings new records, a
 * lost event makes it read the maps again, dead objects are found by their host id.
 */

import { type HostId, hostId, INIT, type Kind, kinds, type NamespaceId, type NsId, namespaceId } from '../model/ids.js';
import { type Namespace, type NamespaceSpec, Namespaces } from '../model/namespaces.js';
import type { ObjectEvent } from '../model/object-event.js';
import { getNextId, mapDelete, mapLookup, mapUpdate, withObject } from '../sys/bpf.js';
import { btfInfo } from '../sys/btf-info.js';
import { bpfns_counter, bpfns_event, bpfns_id_key } from '../sys/contract.gen.js';
import { E, Refusal } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { Ring } from '../sys/ring.js';
import { u32Key } from './keys.js';
import { LivingIds } from './living.js';
import type { Recorder } from './recorder.js';
import {
  counted,
  counterKey,
  decodeObject,
  encodeNamespace,
  forEachObject,
  newCounter,
  type ObjectRecord,
  readNamespaces,
  readNewest,
  readObject,
  readStatus,
} from './records.js';
import { Sweeper } from './sweeper.js';
import { type TaskHandle, TaskStates } from './task-states.js';

/** How long an answer may wait for the dead to be found, in ms. */
const PATIENCE = 2;
/** For how many times as long as a reading of all maps took no other is made. */
const REST = 4;
/** Far fewer than the ring holds (bpf/maps.h). */
const MANY_EVENTS = 1000;

export class Mirror {
  /** Told of objects as they are noted and found dead; of those noted before this agent started only the latter. */
  onObject: (event: ObjectEvent) => void = () => undefined;
  readonly model = new Namespaces();
  readonly #recorder: Recorder;
  readonly #ring: Ring;
  readonly #tasks: TaskStates;
  readonly #living = new LivingIds();
  /** Looks for the dead: {@link update} lets it for a moment; the rest is to be asked for. */
  readonly sweeper = new Sweeper(
    () => this.model.everything(),
    (kind, host) => this.isAlive(kind, host),
    () => this.#living.forgetGaps(),
  );
  /** How many records were taken in so far. */
  recorded = 0;
  #overflows = 0;
  /** When the maps may be read again, by `performance.now()`. */
  #restUntil = 0;
  /** Until the next {@link checkOverflow}: what was lost is counted a moment after it was. */
  #mayHaveLost = false;
  #nextNamespace = 1;
  /** The newest BTF id looked at for kernel ownership. */
  #newestBtf = 0;
  readonly #kernelBtf: HostId[] = [];

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
    this.#tasks = new TaskStates(recorder);
    this.#ring = new Ring(recorder.mapFd('events'), (record) => this.#onEvent(record));
    for (const spec of readNamespaces(recorder.mapFd('namespaces'))) {
      this.model.add(spec);
      this.#nextNamespace = Math.max(this.#nextNamespace, spec.id + 1);
    }
    this.#readAll();
    this.#findKernelBtf();
    this.#numberMissing();
  }

  /** The id that the next namespace will get. */
  get nextNamespace(): number {
    return this.#nextNamespace;
  }

  /** Takes in what the recorder noted since the last time. Call before every answer. */
  update(): void {
    // A ring that held that much was perhaps full: then the caller's last creation may not have got into it.
    if (this.#ring.consume() >= MANY_EVENTS) this.#mayHaveLost = true;
    if (this.#mayHaveLost) this.#readLost();
    this.sweeper.catchUp(PATIENCE);
  }

  /** Readable when it is high time for {@link update}: the ring is half full. Open as long as the mirror. */
  get eventsFd(): number {
    return this.#recorder.mapFd('events');
  }

  /** The same, whatever there was in the ring. Call now and then. */
  checkOverflow(): void {
    this.#mayHaveLost = false;
    this.#readLost();
  }

  /** If events were lost since the last look, reads the maps again. */
  #readLost(): void {
    const { ringOverflows } = readStatus(this.#recorder.mapFd('status'));
    if (ringOverflows === this.#overflows) return;
    const began = performance.now();
    // In a flood events are lost all the time, and a reading for each answer would be all that is done.
    this.#mayHaveLost = began < this.#restUntil;
    if (this.#mayHaveLost) return;
    this.#overflows = ringOverflows;
    this.#readAll();
    const end = performance.now();
    this.#restUntil = end + REST * (end - began);
  }

  /** Creates a namespace and numbers the kernel's BTF in it. @throws Refusal ENOSPC if there is no room */
  create(spec: Omit<NamespaceSpec, 'id'>): Namespace {
    const id = namespaceId(this.#nextNamespace++);
    const namespace = this.model.add({ ...spec, id });
    if (!namespace) throw new Refusal(E.ENOENT, 'create', `there is no namespace ${spec.parent} to be its parent`);
    const value = encodeNamespace(namespace.spec, namespace.level);
    // No task is in it yet: whatever will be made in it is newer, and has a higher host id.
    const newest = readNewest(this.#recorder.mapFd('status'));
    const floorOf = (what: (typeof counted)[number]): number => (what === 'task' ? 0 : newest(what));
    const written = [
      ...counted.map((what) =>
        mapUpdate(this.#recorder.mapFd('counters'), counterKey(id, what), newCounter(floorOf(what))),
      ),
      mapUpdate(this.#recorder.mapFd('namespaces'), u32Key(id), value),
    ];
    if (written.some((result) => result < 0)) {
      this.remove(namespace);
      throw new Refusal(E.ENOSPC, 'create', 'no more namespaces: the recorder has no room');
    }
    this.#findKernelBtf();
    for (const host of this.#kernelBtf) this.#number(namespace, host);
    return namespace;
  }

  /** Whether a namespace lives without tasks and objects. */
  setKeep(namespace: Namespace, keep: boolean): void {
    namespace.keep = keep;
    const value = encodeNamespace({ ...namespace.spec, keep }, namespace.level);
    mapUpdate(this.#recorder.mapFd('namespaces'), u32Key(namespace.id), value);
  }

  /** Removes a namespace that has no child and owns nothing. */
  remove(namespace: Namespace): void {
    this.model.remove(namespace);
    for (let next = namespace.numbers.btf.next(0); next; next = namespace.numbers.btf.next(next.id)) {
      mapDelete(this.#recorder.mapFd('ids'), btfNumberKey(namespace, next.id));
    }
    for (const what of counted) mapDelete(this.#recorder.mapFd('counters'), counterKey(namespace.id, what));
    mapDelete(this.#recorder.mapFd('namespaces'), u32Key(namespace.id));
  }

  /** How many tasks have started in it so far, by fork. */
  tasksStarted(namespace: Namespace): bigint {
    const value = newCounter(0);
    mapLookup(this.#recorder.mapFd('counters'), counterKey(namespace.id, 'task'), value);
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
    this.#recorder.forget(kinds.indexOf(kind), host);
  }

  /** What an id means in a namespace: an object's id there, or the host id of one that is visible. */
  resolve(namespace: Namespace, kind: Kind, id: number): HostId | undefined {
    return namespace.numbers[kind].resolve(id, (host) => this.isAlive(kind, host));
  }

  /** What an object is called in a namespace; INVISIBLE if it is not visible there. */
  idIn(namespace: Namespace, kind: Kind, host: HostId): NsId {
    const isLost = this.#mayHaveLost && !this.model.isRecorded(kind, host);
    const found = isLost ? readObject(this.#recorder.mapFd('objects'), kind, host) : undefined;
    if (found) this.#record(found.object);
    return this.model.idIn(namespace, kind, host);
  }

  /** Numbers kernel BTF that came since (a module was loaded). */
  updateKernelBtf(): void {
    if (getNextId('btf', this.#newestBtf) < 0) return;
    const known = this.#kernelBtf.length;
    this.#findKernelBtf();
    for (const host of this.#kernelBtf.slice(known)) {
      for (const namespace of this.model.all().slice(1)) this.#number(namespace, host);
    }
  }

  /**
   * Puts every task under a listener's filter into a namespace, with what they made under
   * it so far; init: takes the filter out again. @returns -errno
   */
  bindFilter(listener: number, ns: NamespaceId): number {
    const result = this.#recorder.bindFilter(listener, ns);
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

  #onEvent(event: Buffer): void {
    const kind = event.readUInt32LE(bpfns_event.key_kind);
    const object = decodeObject(kind, event.readUInt32LE(bpfns_event.key_host_id), event, bpfns_event.object);
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

  #readAll(): void {
    forEachObject(this.#recorder.mapFd('objects'), (object) => this.#record(object));
  }

  #findKernelBtf(): void {
    for (let id = getNextId('btf', this.#newestBtf); id > 0; id = getNextId('btf', id)) {
      this.#newestBtf = id;
      const info = withObject('btf', id, btfInfo);
      if (info?.isKernel) this.#kernelBtf.push(hostId(id));
    }
  }

  /** An agent may have died between the creation of a namespace and the last number. */
  #numberMissing(): void {
    for (const namespace of this.model.all().slice(1)) {
      for (const host of this.#kernelBtf) {
        if (namespace.numbers.btf.idOf(host) === undefined) this.#number(namespace, host);
      }
    }
  }

  /** The number of a kernel-owned BTF is its host id, everywhere. */
  #number(namespace: Namespace, host: HostId): void {
    if (mapUpdate(this.#recorder.mapFd('ids'), btfNumberKey(namespace, host), u32Key(host)) < 0) return;
    this.model.numberKernelBtf(namespace, host);
  }
}

function btfNumberKey(namespace: Namespace, id: number): Buffer {
  const key = Buffer.alloc(bpfns_id_key.sizeof);
  key.writeUInt32LE(namespace.id, bpfns_id_key.ns);
  key.writeUInt32LE(kinds.indexOf('btf'), bpfns_id_key.kind);
  key.writeUInt32LE(id, bpfns_id_key.id);
  return key;
}
