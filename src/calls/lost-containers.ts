/** Containers whose listener no process has open any more: their calls fail with ENOSYS until they are restarted. */
import { isRunning, type KnownContainer } from '../recorder/container-labels.js';

export class LostContainers {
  readonly #noted = new Map<string, KnownContainer>();

  note(container: KnownContainer): void {
    this.#noted.set(container.id, container);
  }

  /** Whether it is one, and its first process still runs. */
  has(id: string): boolean {
    return this.all().some((container) => container.id === id);
  }

  all(): KnownContainer[] {
    for (const [id, container] of this.#noted) if (!isRunning(container)) this.#noted.delete(id);
    return [...this.#noted.values()];
  }
}
