/** The seccomp listeners the agent holds: each is served until nobody uses its filter. */
import { INIT } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import { close } from '../sys/libc.js';
import { hasHungUp, type Watch, watch } from '../sys/poll.js';
import { setSyncWakeUp } from '../sys/seccomp.js';
import type { Context } from './commands/context.js';
import { type OnFault, serveOne } from './loop.js';

/** Serves a listener from now on, for a namespace and those below it; the fd is closed when its last task ends. */
export function serveListener(listener: number, namespace: Namespace, context: Context, onFault: OnFault): void {
  setSyncWakeUp(listener); // 6.6; without it calls only take longer
  context.mirror.bindFilter(listener, namespace.id);
  context.keeper.addFilter(namespace);
  const source = { listener, namespace };
  const watching: Watch = watch(listener, () => {
    if (serveOne(source, context, onFault) || !hasHungUp(listener)) return;
    watching.close();
    context.mirror.bindFilter(listener, INIT);
    close(listener);
    context.keeper.dropFilter(namespace);
  });
}
