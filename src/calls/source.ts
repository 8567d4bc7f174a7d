/** The source of calls: the listener of a filter. */
import { INIT } from '../model/ids.js';
import { isSameOrAncestor, type Namespace } from '../model/namespaces.js';
import { E, Refusal } from '../sys/errno.js';
import type { Owner } from '../sys/foreign-fd.js';
import { hasWaitKillable } from '../sys/seccomp.js';
import type { Caller } from './caller.js';
import type { Services } from './services.js';

/** A filter's listener, and the namespace for which it was installed. Its tasks are in that namespace or below. */
export interface Source {
  readonly listener: number;
  readonly namespace: Namespace;
  /** Identifies the listener in the journal. */
  readonly token: number;
  /** The id of the container whose runtime sent the listener; '' if no runtime sent it. */
  readonly container: string;
}

/** The owner of all files of a guest: of its top-level namespace, with all below it. */
export function ownerOf({ top }: Namespace): Owner {
  return `namespace ${top.id}`;
}

/** Undefined until it is asked for. */
let kernelHasKillable: boolean | undefined;

/**
 * Whether signals that do not kill may interrupt callers whose call the agent has. Those of
 * container runtimes count as such: their profile may be without WAIT_KILLABLE, as it is by default.
 */
export function isInterruptible({ container }: Source): boolean {
  kernelHasKillable ??= hasWaitKillable() === 1;
  return container !== '' || !kernelHasKillable;
}

/**
 * The namespace of a caller: that of the filter, or one below into which the thread was put.
 * @throws Refusal EPERM if it may be in any of these, as the recorder could not mark it at fork
 */
export function namespaceOf(caller: Caller, source: Source, { mirror }: Services): Namespace {
  const id = caller.namespace;
  const namespace = mirror.model.get(id);
  if (!namespace || (id === INIT && mirror.isLost(caller.hint))) {
    throw new Refusal(E.EPERM, 'bpf', `thread ${caller.hint} is in no namespace: its mark was lost`);
  }
  return id !== INIT && isSameOrAncestor(source.namespace, namespace) ? namespace : source.namespace;
}
