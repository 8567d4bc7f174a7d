/** The seccomp listeners: each is served until nobody uses its filter. */
import { INIT, namespaceId } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import type { Slot } from '../supervisor/journal.js';
import type { SupervisorLink } from '../supervisor/link.js';
import type { SavedListener } from '../supervisor/protocol.js';
import { E } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { ReadySet, type Watch } from '../sys/poll.js';
import { reply, setSyncWakeUp } from '../sys/seccomp.js';
import { serve, serveOne } from './loop.js';
import type { Services } from './services.js';
import type { Source } from './source.js';

/** How often a call that an agent died over is tried again: its death may have had to do with it. */
const MAX_ATTEMPTS = 3;
/** The same for a call that only waited for a look-up when the agent died: that is hardly its fault. */
const MAX_ATTEMPTS_LATER = 100;

interface Watched extends Source {
  /** undefined while paused. */
  readonly watching: Watch | undefined;
}

export class Listeners {
  readonly #services: Services;
  readonly #supervisor: SupervisorLink;
  readonly #onContainerLeft: (container: string, namespace: Namespace) => void;
  readonly #ready = new ReadySet(() => !this.#services.paths.isBusy);
  readonly #sources = new Map<number, Watched>();

  /** @param onContainerLeft told when the last process of a container has ended */
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
   * Serves a listener from now on, for a namespace and those below it. The fd goes over to this object.
   * @param container the id of the container whose runtime sent it
   */
  async add(listener: number, namespace: Namespace, container = ''): Promise<void> {
    this.#bind(listener, namespace);
    // Held first: a call taken from it must be answered even if we die over it.
    const token = await this.#supervisor.save(listener, namespace.id, container);
    this.#watch({ listener, namespace, token, container });
  }

  /** Whether a process of that container is left. */
  hasContainer(id: string): boolean {
    return [...this.#sources.values()].some(({ container }) => container === id);
  }

  /** Takes over what an earlier agent served, its unanswered calls first. */
  resume(saved: readonly SavedListener[]): void {
    const sources = saved.flatMap(({ fd, namespace: id, token, container }): Source[] => {
      const namespace = this.#services.mirror.model.get(namespaceId(id));
      return namespace ? [{ listener: fd, namespace, token, container }] : [];
    });
    for (const { listener, namespace } of sources) this.#bind(listener, namespace);
    this.#serveUnanswered(sources);
    for (const source of sources) this.#watch(source);
  }

  /** Takes no further call and answers none: another process is about to. */
  pause(): void {
    this.#services.journal.isPaused = true;
    for (const { watching } of this.#sources.values()) watching?.close();
  }

  /** It did not: goes on where {@link pause} was called. */
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
    const limit = slot === this.#services.journal.current ? MAX_ATTEMPTS : MAX_ATTEMPTS_LATER;
    if (slot.countAttempt() <= limit) {
      serve(source, slot, this.#services);
      return;
    }
    this.#services.onFault('a call that agents crash over', new Error(`given up after ${limit} attempts`));
    reply(source.listener, slot.notification.buffer, -E.EPERM);
    slot.end();
  }

  #bind(listener: number, namespace: Namespace): void {
    setSyncWakeUp(listener); // 6.6; without it calls only take longer
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
