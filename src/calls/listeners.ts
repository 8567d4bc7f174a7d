/** The seccomp listeners. Each is served as long as a process uses its filter. */
import { INIT, namespaceId } from '../model/ids.js';
import { isSameOrAncestor, type Namespace } from '../model/namespaces.js';
import type { Slot } from '../supervisor/journal.js';
import type { SupervisorLink } from '../supervisor/link.js';
import type { SavedListener } from '../supervisor/protocol.js';
import { E, SyscallError } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { tooManyFiles } from '../sys/fd-reserve.js';
import { close } from '../sys/libc.js';
import { ReadySet, type Watch } from '../sys/poll.js';
import { reply, setSyncWakeUp } from '../sys/seccomp.js';
import { isSameFile } from '../sys/task.js';
import { serve, serveOne } from './loop.js';
import type { Services } from './services.js';
import type { Source } from './source.js';

/** How many agents may die during one call before it is refused. The call may be the cause. */
const MAX_ATTEMPTS = 3;
/** The same for a call that waited for a path lookup when the agent died, and is hardly the cause. */
const MAX_ATTEMPTS_LATER = 100;

interface Watched extends Source {
  /** Undefined while paused. */
  readonly watching: Watch | undefined;
}

export class Listeners {
  readonly #services: Services;
  readonly #supervisor: SupervisorLink;
  readonly #onContainerLeft: (container: string, namespace: Namespace) => void;
  readonly #ready = new ReadySet(() => !this.#services.paths.isBusy && !this.#services.programs.isBusy);
  readonly #sources = new Map<number, Watched>();
  /** Those of which the supervisor is about to have a copy. */
  readonly #coming = new Map<number, Namespace>();

  /** @param onContainerLeft called when the last process of a container has ended */
  constructor(
    services: Services,
    supervisor: SupervisorLink,
    onContainerLeft: (container: string, namespace: Namespace) => void,
  ) {
    this.#services = services;
    this.#supervisor = supervisor;
    this.#onContainerLeft = onContainerLeft;
  }

  /**
   * Serves a listener from now on, for a namespace and those below it. Takes over the fd.
   * @param container the id of the container whose runtime sent it
   */
  async add(listener: number, namespace: Namespace, container = ''): Promise<void> {
    this.#bind(listener, namespace);
    if (container !== '') this.#services.mirror.tasks.markMembers();
    // The supervisor gets its copy first, so that a call is answered even if this agent dies during
    // it.
    this.#coming.set(listener, namespace);
    const saved = this.#supervisor.save(listener, namespace.id, container);
    const token = await saved.finally(() => this.#coming.delete(listener));
    this.#watch({ listener, namespace, token, container });
  }

  /**
   * To be asked before a listener is added: it takes a descriptor for as long as its tasks live.
   * @throws SyscallError EMFILE
   */
  requireRoom(): void {
    if (this.#services.fds.isWhole) return;
    throw new SyscallError(E.EMFILE, 'listen', tooManyFiles);
  }

  /** Whether a process of that container still exists. */
  hasContainer(id: string): boolean {
    return [...this.#sources.values()].some(({ container }) => container === id);
  }

  /** Whether it serves this listener already, by whichever descriptor. True if the kernel cannot tell. */
  has(listener: Fd): boolean {
    const all = [...this.#coming.keys(), ...[...this.#sources.values()].map((source) => source.listener)];
    return all.some((each) => isSameFile(listener.number, each) !== 0);
  }

  /** How many listeners there are for a namespace and those below it. */
  countBelow(top: Namespace): number {
    const all = [...this.#coming.values(), ...[...this.#sources.values()].map(({ namespace }) => namespace)];
    return all.filter((namespace) => isSameOrAncestor(top, namespace)).length;
  }

  /** Takes over the listeners of an earlier agent, and answers its unanswered calls first. */
  resume(saved: readonly SavedListener[]): void {
    const sources = saved.flatMap(({ fd, namespace: id, token, container }): Source[] => {
      const namespace = this.#services.mirror.model.get(namespaceId(id));
      return namespace ? [{ listener: fd, namespace, token, container }] : [];
    });
    for (const { listener, namespace } of sources) this.#bind(listener, namespace);
    // While no filter was bound, tasks may have started under one without a mark.
    if (sources.some(({ container }) => container !== '')) this.#services.mirror.tasks.markMembers();
    this.#serveUnanswered(sources);
    for (const source of sources) this.#watch(source);
  }

  /** Stops taking and answering calls: another process is about to. */
  pause(): void {
    this.#services.journal.isPaused = true;
    for (const { watching } of this.#sources.values()) watching?.close();
  }

  /** Continues after {@link pause}, if the other process did not take over. */
  goOn(): void {
    this.#services.journal.isPaused = false;
    const sources = [...this.#sources.values()];
    this.#serveUnanswered(sources);
    for (const source of sources) this.#watch(source);
  }

  #serveUnanswered(sources: readonly Source[]): void {
    for (const slot of this.#services.journal.unanswered()) {
      const source = sources.find(({ token }) => token === slot.token);
      if (!source) slot.end();
      else this.#serveAgain(source, slot);
    }
  }

  #serveAgain(source: Source, slot: Slot): void {
    if (slot.isOfOtherVersion) {
      // Perhaps half of it is done. bpf(2) has this error where a signal ended a call.
      reply(source.listener, slot.notification, -E.EAGAIN);
      slot.end();
      return;
    }
    const limit = slot === this.#services.journal.current ? MAX_ATTEMPTS : MAX_ATTEMPTS_LATER;
    if (slot.countAttempt() <= limit) {
      serve(source, slot, this.#services);
      return;
    }
    this.#services.onFault('a call during which agents crash', new Error(`given up after ${limit} attempts`));
    reply(source.listener, slot.notification, -E.EPERM);
    slot.end();
  }

  #bind(listener: number, namespace: Namespace): void {
    setSyncWakeUp(listener); // since 6.6; without it calls only take longer
    this.#services.mirror.bindFilter(listener, namespace.id);
    this.#services.lifecycle.addFilter(namespace);
  }

  #watch(source: Source): void {
    const { listener, token } = source;
    const start = (): Watch =>
      this.#ready.add(
        listener,
        () => serveOne(source, this.#services),
        () => {
          this.#sources.get(token)?.watching?.close();
          this.#drop(source);
        },
      );
    this.#sources.set(token, { ...source, watching: this.#services.journal.isPaused ? undefined : start() });
  }

  #drop({ listener, namespace, token, container }: Source): void {
    this.#services.mirror.bindFilter(listener, INIT);
    close(listener);
    this.#supervisor.drop(token);
    this.#sources.delete(token);
    if (container !== '' && !this.hasContainer(container)) this.#onContainerLeft(container, namespace);
    this.#services.lifecycle.dropFilter(namespace);
  }
}
