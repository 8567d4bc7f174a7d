/** What the commands ask of the agent, one function a request. All throw SyscallError. */

import type { Listeners } from '../calls/listeners.js';
import type { Context } from '../calls/services.js';
import type {
  CreateRequest,
  JoinRequest,
  NamespaceReference,
  NamespaceReply,
  PinsPolicy,
  Request,
  RunRequest,
} from '../control/protocol.js';
import { INIT } from '../model/ids.js';
import { nameProblem } from '../model/names.js';
import type { Namespace } from '../model/namespaces.js';
import type { ChildSpec } from '../recorder/lifecycle.js';
import { check, E, SyscallError } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { isListener } from '../sys/seccomp.js';
import { getFd, namespaceInode, openProcess, userIdOf } from '../sys/task.js';

/** The requests that are about one namespace. */
export type NamespaceRequest = Extract<Request, { op: 'run' | 'join' | 'create' | 'remove' }>;

/** Answers every request about namespaces; `pid` is the process at the other end. */
export async function handleRequest(
  request: NamespaceRequest,
  pid: number,
  context: Context,
  listeners: Listeners,
): Promise<NamespaceReply> {
  switch (request.op) {
    case 'run':
      return enterWithFilter(request, pid, context, listeners, () => createForRun(request, pid, context));
    case 'join':
      return enterWithFilter(request, pid, context, listeners, () => find(request.namespace, pid, context));
    case 'create':
      return describe(createByName(request, pid, context), context);
    case 'remove': {
      const namespace = find(request.namespace, pid, context);
      if (namespace.id === INIT) throw new SyscallError(E.EINVAL, 'remove', 'init cannot be removed');
      context.lifecycle.release(namespace);
      return describe(namespace, context);
    }
  }
}

/**
 * Requests are the host's: through them a process inside, root or not, could leave its
 * namespace. Asked when a process connects, as the socket may be handed on later.
 */
export function refusal(pid: number, { mirror }: Context): string | undefined {
  const pidfd = openProcess(pid);
  if (pidfd < 0) return 'the process that connected is gone';
  close(pidfd);
  const namespace = mirror.namespaceOfTask(pid);
  return namespace === INIT ? undefined : `process ${pid} is in BPF namespace ${namespace}: this is for the host`;
}

function describe(namespace: Namespace, { mirror }: Context): NamespaceReply {
  const exists = mirror.model.get(namespace.id) === namespace;
  return { id: namespace.id, path: namespace.path, level: namespace.level, exists };
}

function find(reference: NamespaceReference, pid: number, { mirror }: Context): Namespace {
  const [, process] = /^pid:(\d+)$/.exec(reference) ?? [];
  const isOfTask = reference === 'self' || process !== undefined;
  const found = isOfTask
    ? mirror.model.get(mirror.namespaceOfTask(process === undefined ? pid : Number(process)))
    : mirror.model.find(reference);
  if (!found) throw new SyscallError(E.ENOENT, 'find', `there is no namespace '${reference}': see 'bpfns ls'`);
  return found;
}

function createForRun(request: RunRequest, pid: number, context: Context): Namespace {
  const parent = find(request.parent, pid, context);
  const rest = { ownerUid: userIdOf(pid), keep: false, maxNamespaces: 0 };
  return create(parent, request, namespaceInode(pid, 'user'), rest, context);
}

function createByName(request: CreateRequest, pid: number, context: Context): Namespace {
  if (request.name === '') throw new SyscallError(E.EINVAL, 'create', 'a namespace that is to stay needs a name');
  const parent = find(request.parent, pid, context);
  const { ownerUid, maxNamespaces } = request;
  return create(parent, request, namespaceInode(pid, 'user'), { ownerUid, keep: true, maxNamespaces }, context);
}

function create(
  parent: Namespace,
  { name, pins }: { readonly name: string; readonly pins: PinsPolicy },
  userNs: number,
  rest: Pick<ChildSpec, 'ownerUid' | 'keep' | 'maxNamespaces'>,
  { lifecycle }: Context,
): Namespace {
  const problem = name === '' ? undefined : nameProblem(name);
  if (problem) throw new SyscallError(E.EINVAL, 'create', `cannot call a namespace '${name}': ${problem}`);
  const created = lifecycle.create(parent, { name, pinsAny: pins === 'any', userNs, ...rest });
  if (typeof created !== 'number') return created;
  const reason =
    created === -E.EEXIST
      ? `there is a namespace '${name}' already`
      : `no more namespaces: ${parent.level} levels deep, or a limit on their number is reached`;
  throw new SyscallError(-created, 'create', reason);
}

/** Takes the listener first: a process without one is in no namespace. */
async function enterWithFilter(
  request: RunRequest | JoinRequest,
  pid: number,
  context: Context,
  listeners: Listeners,
  choose: () => Namespace,
): Promise<NamespaceReply> {
  const pidfd = check(openProcess(pid), 'pidfd_open', `cannot find the caller, process ${pid}`);
  let listener = -1;
  try {
    listener = check(getFd(pidfd, request.listener), 'pidfd_getfd', `cannot take the listener of process ${pid}`);
    if (!isListener(listener)) throw new SyscallError(E.EINVAL, request.op, `fd ${request.listener} is no listener`);
    const namespace = choose();
    check(context.mirror.enter(pidfd, namespace), 'bpf', `cannot put process ${pid} into namespace ${namespace.id}`);
    await listeners.add(listener, namespace);
    return describe(namespace, context);
  } catch (error) {
    if (listener >= 0) close(listener);
    throw error;
  } finally {
    close(pidfd);
  }
}
