/** The OCI side of the agent: takes the listeners that container runtimes send, one message a connection. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Namespace } from '../model/namespaces.js';
import { type ContainerLabels, labelsOf, placementOf } from '../oci/placement.js';
import { type ContainerState, MAX_STATE, parseContainerState } from '../oci/state.js';
import { paths } from '../recorder/paths.js';
import { close } from '../sys/libc.js';
import { namespaceInode, openProcess, userIdOf } from '../sys/task.js';
import { type FdConnection, FdListener, type Received } from '../sys/unix-listener.js';
import type { Context } from './commands/context.js';

/** A runtime that says nothing for that long is cut off, in ms. */
const PATIENCE = 10_000;

/** What happened, for the log and the events. */
export type OnContainer = (event: {
  readonly container: string;
  readonly pid: number;
  readonly namespace: Namespace;
}) => void;
export type OnRefused = (reason: string) => void;
/** Serves a listener from now on; the fd goes over to it. */
export type Serve = (listener: number, namespace: Namespace) => void;

export class Containers {
  readonly #listener: FdListener;
  readonly #context: Context;
  readonly #serve: Serve;
  readonly #onJoined: OnContainer;
  readonly #onRefused: OnRefused;

  /** Listens at once. @throws SyscallError */
  constructor(context: Context, serve: Serve, onJoined: OnContainer, onRefused: OnRefused) {
    this.#context = context;
    this.#serve = serve;
    this.#onJoined = onJoined;
    this.#onRefused = onRefused;
    this.#listener = new FdListener(paths.seccompSocket, (connection) => this.#accept(connection));
  }

  close(): void {
    this.#listener.close();
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
    writeLabels(namespace, labelsOf(state));
    this.#serve(listener, namespace);
    this.#context.events.emit({
      event: 'container-joined',
      container: state.id,
      pid: state.pid,
      namespace: namespace.id,
      path: namespace.path,
    });
    this.#onJoined({ container: state.id, pid: state.pid, namespace });
    return undefined;
  }

  #place(state: ContainerState): Namespace | string {
    const placement = placementOf(state);
    if ('problem' in placement) return placement.problem;
    const parent = this.#context.mirror.model.find(placement.parent);
    if (!parent) return `there is no namespace '${placement.parent}' to be its parent`;
    const existing = [...parent.children].find(({ spec }) => spec.name === placement.name);
    if (existing) return existing;
    const created = this.#context.keeper.create(parent, {
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

/** Kept in a file, so that the host's view has it without asking, and the next agent too. */
function writeLabels(namespace: Namespace, labels: ContainerLabels): void {
  mkdirSync(paths.containers, { recursive: true, mode: 0o700 });
  writeFileSync(`${paths.containers}/${namespace.id}.json`, JSON.stringify(labels), { mode: 0o600 });
}

/** Whether a container runtime asked for that namespace. */
export function isContainer(namespaceId: number): boolean {
  return existsSync(`${paths.containers}/${namespaceId}.json`);
}

/** The namespace is gone. */
export function removeLabels(namespaceId: number): void {
  rmSync(`${paths.containers}/${namespaceId}.json`, { force: true });
}
