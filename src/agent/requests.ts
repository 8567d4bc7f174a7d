/** The requests of the commands, one function each. All throw SyscallError. */

import type { Listeners } from '../calls/listeners.js';
import type { Services } from '../calls/services.js';
import type {
  CreateRequest,
  DelegateReply,
  JoinRequest,
  NamespaceReference,
  NamespaceReply,
  Request,
  RunRequest,
  TracefsReply,
} from '../control/protocol.js';
import { INIT } from '../model/ids.js';
import { nameProblem } from '../model/names.js';
import type { Namespace } from '../model/namespaces.js';
import type { ChildSpec } from '../recorder/lifecycle.js';
import type { Mirror } from '../recorder/mirror.js';
import { check, E, SyscallError } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { tooManyFiles } from '../sys/fd-reserve.js';
import { getForeignFd } from '../sys/foreign-fd.js';
import { isListener } from '../sys/seccomp.js';
import { delegate, delegationOf } from './delegating.js';
import type { Peer } from './peer.js';

/** The requests that this file answers. */
export type ChangingRequest = Extract<
  Request,
  { op: 'run' | 'join' | 'create' | 'describe' | 'remove' | 'tracefs' | 'delegate' }
>;

/** Answers every request about namespaces, the view of tracefs, and delegation. @throws SyscallError */
export async function handleRequest(
  request: ChangingRequest,
  peer: Peer,
  services: Services,
  listeners: Listeners,
): Promise<NamespaceReply | TracefsReply | DelegateReply> {
  switch (request.op) {
    case 'delegate':
      return delegate(request, delegationOf(request), peer, services);
    case 'tracefs':
      return { path: await services.tracefs.make() };
    case 'run':
      return enterWithFilter(request, peer, services, listeners, () => createForRun(request, peer, services));
    case 'join':
      return enterWithFilter(request, peer, services, listeners, () => find(request.namespace, peer, services));
    case 'create':
      return describe(createByName(request, peer, services), services);
    case 'describe':
      return describe(find(request.namespace, peer, services), services);
    case 'remove': {
      const namespace = find(request.namespace, peer, services);
      if (namespace.id === INIT) throw new SyscallError(E.EINVAL, 'remove', 'init cannot be removed');
      services.lifecycle.release(namespace);
      return describe(namespace, services);
    }
  }
}

/**
 * Only the host may send requests: a process inside, root or not, could use them to leave its
 * namespace. This is checked when a process connects, as the socket can be passed on later.
 */
export function refusal(peer: Peer, { mirror, fds }: Services): string | undefined {
  if (!fds.isWhole) return tooManyFiles;
  if (!peer.isKnown) return 'the process that connected is gone';
  const namespace = mirror.namespaceOfProcess(peer.pidfd);
  if (mirror.isLost(peer.pid)) return 'this process may be in a BPF namespace: its mark was lost';
  return namespace === INIT ? undefined : `this process is in BPF namespace ${namespace}: this is for the host`;
}

function describe(namespace: Namespace, { mirror }: Services): NamespaceReply {
  const exists = mirror.model.get(namespace.id) === namespace;
  return { id: namespace.id, path: namespace.path, level: namespace.level, tracing: namespace.spec.tracing, exists };
}

function find(reference: NamespaceReference, peer: Peer, { mirror }: Services): Namespace {
  const [, process] = /^pid:(\d+)$/.exec(reference) ?? [];
  const found =
    process !== undefined
      ? ofProcess(Number(process), mirror)
      : reference === 'self'
        ? mirror.model.get(mirror.namespaceOfProcess(peer.pidfd))
        : mirror.model.find(reference);
  if (!found) throw new SyscallError(E.ENOENT, 'find', `there is no namespace '${reference}': see 'bpfns ls'`);
  return found;
}

function ofProcess(pid: number, mirror: Mirror): Namespace | undefined {
  using task = mirror.tasks.open(pid);
  return mirror.model.get(mirror.namespaceOf(task));
}

function createForRun(request: RunRequest, peer: Peer, services: Services): Namespace {
  const parent = find(request.parent, peer, services);
  const rest = { ownerUid: peer.directory.userId(), keep: false, maxNamespaces: 0 };
  return create(parent, request, peer.directory.namespaceInode('user'), rest, services);
}

function createByName(request: CreateRequest, peer: Peer, services: Services): Namespace {
  if (request.name === '') throw new SyscallError(E.EINVAL, 'create', 'a created namespace needs a name');
  const parent = find(request.parent, peer, services);
  const { ownerUid, maxNamespaces } = request;
  return create(
    parent,
    request,
    peer.directory.namespaceInode('user'),
    { ownerUid, keep: true, maxNamespaces },
    services,
  );
}

export function create(
  parent: Namespace,
  { name, pins, tracing }: Pick<RunRequest, 'name' | 'pins' | 'tracing'>,
  userNs: number,
  rest: Pick<ChildSpec, 'ownerUid' | 'keep' | 'maxNamespaces'>,
  { lifecycle }: Services,
): Namespace {
  const problem = name === '' ? undefined : nameProblem(name);
  if (problem) throw new SyscallError(E.EINVAL, 'create', `cannot call a namespace '${name}': ${problem}`);
  return lifecycle.create(parent, {
    name,
    pinsAny: pins === 'any',
    tracing: tracing === 'parent' || tracing === undefined ? parent.spec.tracing : tracing,
    userNs,
    ...rest,
  });
}

/** Takes the listener first: a process without a listener is in no namespace. */
export async function enterWithFilter(
  request: RunRequest | JoinRequest,
  peer: Peer,
  services: Services,
  listeners: Listeners,
  choose: (listener: Fd) => Namespace,
): Promise<NamespaceReply> {
  using listener = getForeignFd(peer.pidfd, request.listener, peer.owner).checked(
    'pidfd_getfd',
    "cannot take the caller's listener",
  );
  if (!isListener(listener.number)) {
    throw new SyscallError(E.EINVAL, request.op, `fd ${request.listener} is not a seccomp listener`);
  }
  listeners.requireRoom();
  const namespace = choose(listener);
  check(services.mirror.enter(peer.pidfd, namespace), 'bpf', `cannot put the caller into namespace ${namespace.id}`);
  await listeners.add(listener.release(), namespace);
  return describe(namespace, services);
}
