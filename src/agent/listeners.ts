/** The seccomp listeners the agent holds: each serves one namespace until nobody uses its filter. */
import type { Namespace } from '../model/namespaces.js';
import { close } from '../sys/libc.js';
import { hasHungUp, type Watch, watch } from '../sys/poll.js';
import { setSyncWakeUp } from '../sys/seccomp.js';
import type { Context } from './commands/context.js';
import { type OnFault, serveOne } from './loop.js';

export class Listeners {
  readonly #context: Context;
  readonly #onFault: OnFault;
  readonly #onGone: (namespace: Namespace) => void;
  readonly #byNamespace = new Map<Namespace, number>();

  /** @param onGone called when the last task behind a listener has ended */
  constructor(context: Context, onFault: OnFault, onGone: (namespace: Namespace) => void) {
    this.#context = context;
    this.#onFault = onFault;
    this.#onGone = onGone;
  }

  /** Serves a listener from now on; the fd is this object's. */
  add(fd: number, namespace: Namespace): void {
    setSyncWakeUp(fd); // 6.6; without it calls only take longer
    this.#byNamespace.set(namespace, this.count(namespace) + 1);
    const watching: Watch = watch(fd, () => {
      if (serveOne(fd, namespace, this.#context, this.#onFault) || !hasHungUp(fd)) return;
      watching.close();
      close(fd);
      const left = this.count(namespace) - 1;
      if (left > 0) this.#byNamespace.set(namespace, left);
      else this.#byNamespace.delete(namespace);
      this.#onGone(namespace);
    });
  }

  /** How many filters of a namespace still have a task. */
  count(namespace: Namespace): number {
    return this.#byNamespace.get(namespace) ?? 0;
  }
}
