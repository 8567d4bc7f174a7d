/** Creates a child of the caller's namespace, for clone3(), unshare() and bpfns' own command. */
import { INIT, namespaceId } from '../../model/ids.js';
import type { Namespace } from '../../model/namespaces.js';
import { E, Refusal } from '../../sys/errno.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';

export interface ChildOptions {
  /** '' for no name. */
  readonly name: string;
  readonly pinsAny: boolean;
}

/**
 * Creates the child of this call, once, however many agents die during it.
 * @throws Refusal EPERM, EINVAL, or as {@link Lifecycle.create}: an answer for the caller
 * @throws CallerGone
 */
export function createChild(call: Call, { lifecycle, mirror }: Services, options: ChildOptions): Namespace {
  const earlier = call.child === 0 ? undefined : mirror.model.get(namespaceId(call.child));
  if (earlier) return earlier;
  if (!call.mayMakeNamespace) throw new Refusal(E.EPERM, 'create', 'the caller lacks CAP_BPF');
  // Like create_pid_namespace(), which refuses callers from elsewhere in the tree of user
  // namespaces.
  if (!call.isWithinOwner) throw new Refusal(E.EINVAL, 'create', 'the caller is in another user namespace');
  const ownerUid = call.caller.directory.userId();
  const { userNs } = call.caller;
  call.child = mirror.nextNamespace;
  const { tracing } = call.namespace.spec;
  return lifecycle.create(call.namespace, { ...options, userNs, ownerUid, tracing, keep: false, maxNamespaces: 0 });
}

/** Creates the child, and moves the caller into it at once. @throws as {@link createChild} */
export function enterChild(call: Call, services: Services, options: ChildOptions): Reply {
  const child = createChild(call, services, options);
  const result = call.caller.task.write({ ns: child.id, next: INIT });
  return result === 0 || result === -E.ESRCH ? result : -E.ENOMEM;
}
