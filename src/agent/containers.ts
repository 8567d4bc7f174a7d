/** The OCI side of the agent: receives the listeners that container runtimes send, one message per connection. */

import type { Listeners } from '../calls/listeners.js';
import type { Services } from '../calls/services.js';
import { paths } from '../config/paths.js';
import type { ContainerFields } from '../control/events.js';
import type { ContainerLabels } from '../model/container.js';
import type { Namespace } from '../model/namespaces.js';
import { labelsOf, placementOf } from '../oci/placement.js';
import { type ContainerState, MAX_STATE, OciError, parseContainerState } from '../oci/state.js';
import { isRunning, type KnownContainer, readContainers, writeContainers } from '../recorder/container-labels.js';
import { Fd } from '../sys/fd.js';
import { processIdentity } from '../sys/pids.js';
import { ProcDir } from '../sys/proc-dir.js';
import { openProcess } from '../sys/task.js';
import { type FdConnection, FdListener, type Received } from '../sys/unix-listener.js';

/** A runtime that sends nothing for this long is disconnected, in ms. */
const PATIENCE = 10_000;

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
  readonly #listener: FdListener;
  readonly #services: Services;
  readonly #listeners: Listeners;
  readonly #onJoined: OnContainer;
  readonly #onLost: OnLost;
  readonly #onRefused: OnRefused;

  /** Starts to listen. @throws SyscallError */
  constructor(services: Services, listeners: Listeners, onJoined: OnContainer, onLost: OnLost, onRefused: OnRefused) {
    this.#services = services;
    this.#listeners = listeners;
    this.#onJoined = onJoined;
    this.#onLost = onLost;
    this.#onRefused = onRefused;
    this.#listener = new FdListener(paths.seccompSocket, (connection) => this.#accept(connection));
  }

  close(): void {
    this.#listener.close();
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
    let text = '';
    const fds: Fd[] = [];
    const finish = (problem?: string): void => {
      clearTimeout(timer);
      connection.close();
      // The fds that nobody took over: all of them if there was a problem.
      for (const fd of fds) fd.close();
      if (problem) this.#onRefused(problem);
    };
    const timer = setTimeout(() => finish('a runtime did not finish its message'), PATIENCE);
    connection.onData((received: Received) => {
      fds.push(...received.fds.map((fd) => new Fd(fd)));
      text += received.bytes.toString('utf8');
      try {
        if (this.#take(text, fds, received)) finish();
      } catch (error) {
        finish(error instanceof Error ? error.message : String(error));
      }
    });
  }

  /** @returns whether the message is complete, and its container known @throws OciError, SyscallError */
  #take(text: string, fds: readonly Fd[], { bytes, isTruncated }: Received): boolean {
    if (isTruncated) throw new OciError('the message has too many fds');
    const state = parseContainerState(text);
    if (state) {
      const listener = fds[state.listenerIndex];
      if (!listener) throw new OciError(`container ${state.id}: its seccompFd did not arrive`);
      this.#register(state, listener);
      return true;
    }
    if (bytes.length === 0) throw new OciError('the message is not JSON');
    if (text.length > MAX_STATE) throw new OciError(`the message is longer than ${MAX_STATE} bytes`);
    return false;
  }

  /** @throws OciError, SyscallError: then the listener is closed, and the container's calls fail with ENOSYS */
  #register(state: ContainerState, listener: Fd): void {
    this.#listeners.requireRoom();
    using pidfd = openProcess(state.pid);
    using directory = new ProcDir(state.pid);
    const namespace = this.#place(state, directory);
    // A process that has already ended leaves other processes under its filter, which count as
    // well.
    if (pidfd.isOpen) this.#services.mirror.enter(pidfd, namespace);
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
  #place(state: ContainerState, process: ProcDir): Namespace {
    const placement = placementOf(state);
    const parent = this.#services.mirror.model.find(placement.parent);
    if (!parent) throw new OciError(`the parent namespace '${placement.parent}' does not exist`);
    const find = (): Namespace | undefined => [...parent.children].find(({ spec }) => spec.name === placement.name);
    // A namespace that has ended unnoticed is not continued: its numbers would continue too.
    if (find()) this.#services.lifecycle.collect(false);
    const existing = find();
    if (existing && placement.tracing !== undefined && placement.tracing !== existing.spec.tracing) {
      throw new OciError(`its namespace '${existing.path}' has tracing=${existing.spec.tracing}`);
    }
    if (existing) return existing;
    return this.#services.lifecycle.create(parent, {
      name: placement.name,
      pinsAny: placement.pins === 'any',
      tracing: placement.tracing ?? parent.spec.tracing,
      userNs: process.namespaceInode('user') || this.#services.own.userNs,
      ownerUid: process.userId(),
      keep: false,
      maxNamespaces: 0,
    });
  }
}

function fieldsOf({ id, container, pod, podNamespace }: ContainerLabels, namespace: Namespace): ContainerFields {
  return { container: id, namespace: namespace.id, path: namespace.path, pod, podNamespace, name: container };
}
