/** Where calls come from: a filter's listener. */
import { INIT } from '../model/ids.js';
import { isSameOrAncestor, type Namespace } from '../model/namespaces.js';
import type { Caller } from './caller.js';
import type { Services } from './services.js';

/** A filter's listener, and the namespace that it was installed for: its tasks are there or below. */
export interface Source {
  readonly listener: number;
  readonly namespace: Namespace;
  /** Names the listener in the journal. */
  readonly token: number;
  /** The id of the container whose runtime sent it; '' if it came another way. */
  readonly container: string;
}

/** The namespace of a caller: the filter's, or one below that its thread was put into. */
export function namespaceOf(caller: Caller, source: Source, { mirror }: Services): Namespace {
  const id = mirror.namespaceOf(caller.task);
  const namespace = id === INIT ? undefined : mirror.model.get(id);
  return namespace && isSameOrAncestor(source.namespace, namespace) ? namespace : source.namespace;
}
