/** The OCI side of the agent: takes the listeners that container runtimes send, one message a connection. */

import type { Listeners } from '../calls/listeners.js';
import type { Context } from '../calls/services.js';
import { paths } from '../config/paths.js';
import type { ContainerFields } from '../control/events.js';
import type { ContainerLabels } from '../model/container.js';
import type { Namespace } from '../model/namespaces.js';
import { labelsOf, placementOf } from '../oci/placement.js';
import { type ContainerState, MAX_STATE, parseContainerState } from '../oci/state.js';
import { readLabels, writeLabels } from '../recorder/container-labels.js';
import { close } from '../sys/libc.js';
import { namespaceInode, openProcess, userIdOf } from '../sys/task.js';
import { type FdConnection, FdListener, type Received } from '../sys/unix-listener.js';

/** A runtime that says nothing for that long is cut off, in ms. */
const PATIENCE = 10_000;

/** What happened, for the log and the events. */
export type OnContainer = (event: {
  readonly container: string;
  readonly pid: number;
  readonly namespace: Namespace;
}) => void;
export type OnRefused = (reason: string) => void;

export class Containers {
  readonly #listener: FdListener;
  readonly #context: Context;
  readonly #listeners: Listeners;
  readonly #onJoined: OnContainer;
  readonly #onRefused: OnRefused;

  /** Listens at once. @throws SyscallError */
  constructor(context: Context, listeners: Listeners, onJoined: OnContainer, onRefused: OnRefused) {
    this.#context = context;
    this.#listeners = listeners;
    this.#onJoined = onJoined;
    this.#onRefused = onRefused;
    this.#listener = new FdListener(paths.seccompSocket, (connection) => this.#accept(connection));
  }

  close(): void {
    this.#listener.close();
  }

  /** The last process of a container has ended. */
  left(id: string, namespace: Namespace): void {
    const all = readLabels(namespace.id);
    const labels = all.find((each) => each.id === id);
    if (!labels) return;
    // What the last one leaves behind is still known by its name.
    if (all.length > 1)
      writeLabels(
        namespace.id,
        all.filter((each) => each !== labels),
      );
    this.#context.events.emit({ event: 'container-left', ...fieldsOf(labels, namespace) });
  }

  #accept(connection: FdConnection): void {
    const peer = connection.peer();
    if (peer.uid !== 0) {
      this.#onRefused(`a seccomp listener from uid ${peer.uid}: only root's runtimes are served`);
      connection.close();
      return;
    }
    let text = '';
    const fds: number[] = [];
    const finish = (problem: string | undefined): void => {
      clearTimeout(timer);
      connection.close();
      // What nobody took over: all of it if there was a problem.
      for (const fd of fds) close(fd);
      if (problem) this.#onRefused(problem);
    };
    const timer = setTimeout(() => finish('a runtime did not finish its message'), PATIENCE);
    connection.onData((received: Received) => {
      fds.push(...received.fds);
      text += received.bytes.toString('utf8');
      if (received.isTruncated) return finish('a message with too many fds');
      const state = parseContainerState(text);
      if (state === 'incomplete') {
        if (received.bytes.length === 0) return finish('a message that is no JSON');
        return text.length > MAX_STATE ? finish(`a message of more than ${MAX_STATE} bytes`) : undefined;
      }
      if ('problem' in state) return finish(state.problem);
      const listener = fds[state.listenerIndex];
      if (listener === undefined) return finish(`container ${state.id}: its seccompFd did not arrive`);
      fds.splice(state.listenerIndex, 1);
      finish(this.#register(state, listener));
    });
  }

  /** @returns why it could not be, with the listener closed: its calls then fail with ENOSYS */
  #register(state: ContainerState, listener: number): string | undefined {
    const namespace = this.#place(state);
    if (typeof namespace === 'string') {
      close(listener);
      return `container ${state.id}: ${namespace}`;
    }
    const pidfd = openProcess(state.pid);
    if (pidfd >= 0) {
      this.#context.mirror.enter(pidfd, namespace);
      close(pidfd);
    }
    const labels = labelsOf(state);
    const others = readLabels(namespace.id).filter(({ id }) => id !== state.id && this.#listeners.hasContainer(id));
    writeLabels(namespace.id, [...others, labels]);
    void this.#listeners.add(listener, namespace, state.id);
    this.#context.events.emit({ event: 'container-joined', pid: state.pid, ...fieldsOf(labels, namespace) });
    this.#onJoined({ container: state.id, pid: state.pid, namespace });
    return undefined;
  }

  #place(state: ContainerState): Namespace | string {
    const placement = placementOf(state);
    if ('problem' in placement) return placement.problem;
    const parent = this.#context.mirror.model.find(placement.parent);
    if (!parent) return `there is no namespace '${placement.parent}' to be its parent`;
    const find = (): Namespace | undefined => [...parent.children].find(({ spec }) => spec.name === placement.name);
    // One whose end was not noticed yet is not gone on with: its numbers would be.
    if (find()) this.#context.lifecycle.collect(false);
    const existing = find();
    if (existing) return existing;
    const created = this.#context.lifecycle.create(parent, {
      name: placement.name,
      pinsAny: placement.pins === 'any',
      userNs: namespaceInode(state.pid, 'user') || this.#context.own.userNs,
      ownerUid: userIdOf(state.pid),
      keep: false,
      maxNamespaces: 0,
    });
    return typeof created === 'number' ? 'no more namespaces: a limit is reached' : created;
  }
}

function fieldsOf({ id, container, pod, podNamespace }: ContainerLabels, namespace: Namespace): ContainerFields {
  return { container: id, namespace: namespace.id, path: namespace.path, pod, podNamespace, name: container };
}
