/**
 * The OCI side of the agent: receives the listeners that container runtimes send, one message per connection.
 *
 * Long because root's runtimes and the users' are two ways to the same containers.
 */

import type { Listeners } from '../calls/listeners.js';
import type { Services } from '../calls/services.js';
import { paths, userPaths } from '../config/paths.js';
import type { ContainerFields } from '../control/events.js';
import type { ContainerLabels } from '../model/container.js';
import { nameProblem } from '../model/names.js';
import type { Namespace, TracingMode } from '../model/namespaces.js';
import { labelsOf, type Placement, placementOf } from '../oci/placement.js';
import { type ContainerState, MAX_STATE, OciError, parseContainerState } from '../oci/state.js';
import { isRunning, type KnownContainer, readContainers, writeContainers } from '../recorder/container-labels.js';
import type { ChildSpec } from '../recorder/lifecycle.js';
import type { Fd } from '../sys/fd.js';
import { ForeignFd, ownerOfUid, requireQuickFiles } from '../sys/foreign-fd.js';
import { processIdentity } from '../sys/pids.js';
import { ProcDir } from '../sys/proc-dir.js';
import { isListener } from '../sys/seccomp.js';
import { openProcess } from '../sys/task.js';
import { type FdConnection, FdListener, type Received } from '../sys/unix-listener.js';
import { bpffsFor } from './container-bpffs.js';
import { namespaceOfUser, ownerOfIds, requireNewListener, type User } from './users.js';

/** A runtime that sends nothing for this long is disconnected, in ms. */
const PATIENCE = 10_000;

/** Of a user's connections: how many at a time, of how many messages and bytes each. */
const MAX_OF_USER = 8;
const MAX_PARTS = 32;
const MAX_USER_STATE = 128 * 1024;
/** Between two refusals of one user in the log, in ms. */
const TELL_PAUSE = 1000;

/** What is known of a new namespace. */
interface NewContainer extends Pick<ChildSpec, 'name' | 'userNs' | 'ownerUid'> {
  readonly pinsAny?: boolean;
  readonly tracing?: TracingMode | undefined;
}

/** What happened, for the log and the events. */
export type OnContainer = (event: {
  readonly container: string;
  readonly pid: number;
  readonly namespace: Namespace;
  /** One more process in a container that is known: an exec, a probe. */
  readonly isExec: boolean;
}) => void;
export type OnLost = (event: { readonly container: string; readonly namespace: Namespace }) => void;
export type OnRefused = (reason: string) => void;

export class Containers {
  readonly #doors: readonly FdListener[];
  readonly #services: Services;
  readonly #listeners: Listeners;
  readonly #onJoined: OnContainer;
  readonly #onLost: OnLost;
  readonly #onRefused: OnRefused;
  /** When a refusal of a user was last told of, by uid. */
  readonly #told = new Map<number, number>();

  /** Starts to listen. @throws SyscallError */
  constructor(
    services: Services,
    listeners: Listeners,
    users: readonly User[],
    onJoined: OnContainer,
    onLost: OnLost,
    onRefused: OnRefused,
  ) {
    this.#services = services;
    this.#listeners = listeners;
    this.#onJoined = onJoined;
    this.#onLost = onLost;
    this.#onRefused = onRefused;
    const root = new FdListener(paths.seccompSocket, (connection) => this.#accept(connection));
    const ofUsers = users.map((user) => {
      const connections = new Set<FdConnection>();
      const { seccompSocket } = userPaths(user.uid);
      return new FdListener(seccompSocket, (each) => this.#acceptOf(user, each, connections), user.uid);
    });
    this.#doors = [root, ...ofUsers];
  }

  close(): void {
    for (const door of this.#doors) door.close();
  }

  /** Reports the containers whose listeners an earlier agent has lost. To be called once the others are resumed. */
  noteLost(): void {
    for (const namespace of this.#services.mirror.model.all()) {
      for (const container of readContainers(namespace.id)) {
        if (this.#listeners.hasContainer(container.id) || !isRunning(container)) continue;
        this.#services.lost.note(container);
        this.#services.events.emit({ event: 'container-lost', ...fieldsOf(container, namespace) });
        this.#onLost({ container: container.id, namespace });
      }
    }
  }

  /** Called when the last process of a container has ended. */
  left(id: string, namespace: Namespace): void {
    const all = readContainers(namespace.id);
    const labels = all.find((each) => each.id === id);
    if (!labels) return;
    // What the last process leaves behind is still known by the container's name.
    if (all.length > 1)
      writeContainers(
        namespace.id,
        all.filter((each) => each !== labels),
      );
    this.#services.events.emit({ event: 'container-left', ...fieldsOf(labels, namespace) });
  }

  #accept(connection: FdConnection): void {
    const peer = connection.peer();
    if (peer.uid !== 0) {
      this.#onRefused(`a seccomp listener from uid ${peer.uid}: only root's runtimes are served`);
      connection.close();
      return;
    }
    this.#receive(connection, undefined, this.#onRefused);
  }

  /** The refusals of a user go to the log once a second at most: they are the user's to make. */
  #acceptOf(user: User, connection: FdConnection, connections: Set<FdConnection>): void {
    const tell = (reason: string): void => this.#tellOf(user, reason);
    const { uid } = connection.peer();
    const isFull = connections.size >= MAX_OF_USER;
    if (uid !== user.uid || isFull) {
      connection.close();
      tell(isFull ? `${MAX_OF_USER} runtimes are connected already` : `a seccomp listener from uid ${uid}`);
      return;
    }
    try {
      requireQuickFiles(ownerOfUid(user.uid));
    } catch (error) {
      tell(String(error));
      connection.close();
      return;
    }
    connections.add(connection);
    const onEnd = (): void => void connections.delete(connection);
    this.#receive(connection, user, tell, onEnd);
  }

  #tellOf({ uid }: User, reason: string): void {
    const now = Date.now();
    if (now - (this.#told.get(uid) ?? 0) < TELL_PAUSE) return;
    this.#told.set(uid, now);
    this.#onRefused(`uid ${uid}: ${reason}`);
  }

  #receive(
    connection: FdConnection,
    user: User | undefined,
    onRefused: OnRefused,
    onEnd: () => void = () => undefined,
  ): void {
    const owner = ownerOfUid(user?.uid ?? 0);
    let text = '';
    let parts = 0;
    const fds: Fd[] = [];
    const finish = (problem?: string): void => {
      clearTimeout(timer);
      connection.close();
      // The fds that nobody took over: all of them if there was a problem.
      for (const fd of fds) fd.close();
      onEnd();
      if (problem) onRefused(problem);
    };
    const timer = setTimeout(() => finish('a runtime did not finish its message'), PATIENCE);
    connection.onData((received: Received) => {
      fds.push(...received.fds.map((fd) => new ForeignFd(fd, owner)));
      text += received.bytes.toString('utf8');
      try {
        // Each part makes the text to be parsed once more.
        if (user && (++parts > MAX_PARTS || text.length > MAX_USER_STATE || fds.length > MAX_PARTS)) {
          throw new OciError('the message of a user is too long, or in too many parts');
        }
        if (this.#take(text, fds, received, user)) finish();
      } catch (error) {
        finish(error instanceof Error ? error.message : String(error));
      }
    });
  }

  /** @returns whether the message is complete, and its container known @throws OciError, SyscallError */
  #take(text: string, fds: readonly Fd[], { bytes, isTruncated }: Received, user: User | undefined): boolean {
    if (isTruncated) throw new OciError('the message has too many fds');
    const state = parseContainerState(text);
    if (state) {
      const listener = fds[state.listenerIndex];
      if (!listener) throw new OciError(`container ${state.id}: its seccompFd did not arrive`);
      if (user) this.#registerOf(user, state, listener);
      else this.#register(state, listener);
      return true;
    }
    if (bytes.length === 0) throw new OciError('the message is not JSON');
    if (text.length > MAX_STATE) throw new OciError(`the message is longer than ${MAX_STATE} bytes`);
    return false;
  }

  /**
   * The pid is the user's word: no process is put anywhere by it. Who is under the filter is a member.
   * @throws OciError, SyscallError as {@link #register}
   */
  #registerOf(user: User, state: ContainerState, listener: Fd): void {
    if (!isListener(listener.number)) throw new OciError(`container ${state.id}: its seccompFd is none`);
    const problem = nameProblem(state.id);
    if (problem) throw new OciError(`a container cannot be called '${state.id.slice(0, 128)}': ${problem}`);
    this.#listeners.requireRoom();
    requireNewListener(user, listener, this.#services, this.#listeners);
    using directory = new ProcDir(state.pid);
    const { name, parent, pins, tracing, delegation } = placementOf(state);
    if (delegation) throw new OciError(`container ${state.id}: delegate_* needs root: use 'bpfns bpffs'`);
    if (parent !== 'init' || pins !== 'own' || (tracing ?? 'host') !== 'host') {
      throw new OciError(`container ${state.id}: parent=, pins=any and tracing= need root`);
    }
    const userNs = ownerOfIds(user, directory, this.#services);
    const top = namespaceOfUser(user, this.#services);
    const namespace = this.#existing(top, name, undefined) ?? this.#create(top, { name, userNs, ownerUid: user.uid });
    // Root's runtimes use no '@' in ids: nobody's container passes for another's.
    this.#add({ ...state, id: `${user.uid}@${state.id}` }, namespace, listener);
  }

  /** @throws OciError, SyscallError: then the listener is closed, and the container's calls fail with ENOSYS */
  #register(state: ContainerState, listener: Fd): void {
    this.#listeners.requireRoom();
    using directory = new ProcDir(state.pid);
    const placement = placementOf(state);
    const isFirst = !this.#listeners.hasContainer(state.id);
    const bpffs = isFirst ? bpffsFor(state.pid, directory, placement.delegation, this.#services) : undefined;
    try {
      this.#serve(state, placement, directory, listener);
    } catch (error) {
      bpffs?.close();
      throw error;
    }
    void bpffs?.mount((problem) => this.#onRefused(`container ${state.id}: ${problem}`));
  }

  #serve(state: ContainerState, placement: Placement, directory: ProcDir, listener: Fd): void {
    using pidfd = openProcess(state.pid);
    const namespace = this.#place(placement, directory);
    const { tracing } = namespace.spec;
    if (placement.delegation && tracing !== 'host')
      throw new OciError(`a BPF token is not bound by tracing=${tracing}`);
    // A process that has already ended leaves other processes under its filter, which count as
    // well.
    if (pidfd.isOpen) this.#services.mirror.enter(pidfd, namespace);
    this.#add(state, namespace, listener);
  }

  /** Serves a container's listener in a namespace, under the container's name. */
  #add(state: ContainerState, namespace: Namespace, listener: Fd): void {
    const labels = labelsOf(state);
    const known = readContainers(namespace.id).filter((each) => this.#isThere(each));
    const earlier = known.find(({ id }) => id === state.id);
    const others = known.filter((each) => each !== earlier);
    const init = earlier && isRunning(earlier) ? earlier.init : processIdentity(state.pid);
    writeContainers(namespace.id, [...others, { ...labels, init }]);
    void this.#listeners.add(listener.release(), namespace, state.id);
    this.#services.events.emit({ event: 'container-joined', pid: state.pid, ...fieldsOf(labels, namespace) });
    this.#onJoined({ container: state.id, pid: state.pid, namespace, isExec: earlier !== undefined });
  }

  /** With a listener, or, where an earlier agent's were lost, with the process it began with. */
  #isThere(known: KnownContainer): boolean {
    return this.#listeners.hasContainer(known.id) || isRunning(known);
  }

  /** @throws OciError, Refusal */
  #place(placement: Placement, process: ProcDir): Namespace {
    const parent = this.#services.mirror.model.find(placement.parent);
    if (!parent) throw new OciError(`the parent namespace '${placement.parent}' does not exist`);
    const existing = this.#existing(parent, placement.name, placement.tracing);
    if (existing) return existing;
    return this.#create(parent, {
      name: placement.name,
      pinsAny: placement.pins === 'any',
      tracing: placement.tracing,
      userNs: process.namespaceInode('user') || this.#services.own.userNs,
      ownerUid: process.userId(),
    });
  }

  /** @throws OciError if it has another tracing mode than wanted */
  #existing(parent: Namespace, name: string, tracing: TracingMode | undefined): Namespace | undefined {
    // A namespace that has ended unnoticed is not continued: its numbers would continue too.
    if (parent.childCalled(name)) this.#services.lifecycle.collect({ trustsFilters: false, spared: parent });
    const existing = parent.childCalled(name);
    if (existing && tracing !== undefined && tracing !== existing.spec.tracing) {
      throw new OciError(`its namespace '${existing.path}' has tracing=${existing.spec.tracing}`);
    }
    return existing;
  }

  /** @throws Refusal */
  #create(parent: Namespace, { pinsAny = false, tracing = parent.spec.tracing, ...rest }: NewContainer): Namespace {
    return this.#services.lifecycle.create(parent, { ...rest, pinsAny, tracing, keep: false, maxNamespaces: 0 });
  }
}

function fieldsOf({ id, container, pod, podNamespace }: ContainerLabels, namespace: Namespace): ContainerFields {
  return { container: id, namespace: namespace.id, path: namespace.path, pod, podNamespace, name: container };
}
