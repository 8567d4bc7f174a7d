/**
 * What a user of the configuration may ask for, besides root. The user is hostile: everything here
 * bounds what the processes of one can do to root and to other users.
 */
import { mkdirSync, rmSync } from 'node:fs';
import type { Listeners } from '../calls/listeners.js';
import type { Services } from '../calls/services.js';
import { paths, userPaths } from '../config/paths.js';
import type { DelegateReply, DelegateRequest, NamespaceReply, Request, RunRequest } from '../control/protocol.js';
import { type Delegation, formatDelegation, isWithin } from '../model/delegation.js';
import type { Namespace } from '../model/namespaces.js';
import { E, Refusal } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import type { ProcDir } from '../sys/proc-dir.js';
import { delegate, delegationOf } from './delegating.js';
import type { Peer } from './peer.js';
import { create, enterWithFilter } from './requests.js';

/** Listeners for each namespace that the user may have: an exec into a container brings one more. */
const LISTENERS = 4;
/** The user namespace of a namespace whose ids nobody in a user namespace may use. */
const NOBODYS = 0;

export interface User {
  readonly uid: number;
  /** The most namespaces at a time. */
  readonly namespaces: number;
  /** The most that may be delegated; undefined: nothing, and no ids either. */
  readonly delegate: Delegation | undefined;
}

/** Makes the directories of the users' sockets. They are root's: nobody else can put anything in their place. */
export function makeDirectories(users: readonly User[]): void {
  rmSync(paths.users, { recursive: true, force: true });
  for (const { uid } of users) mkdirSync(userPaths(uid).directory, { recursive: true, mode: 0o755 });
}

/** Answers the requests of a user. @throws SyscallError */
export function handleUserRequest(
  user: User,
  request: Request,
  peer: Peer,
  services: Services,
  listeners: Listeners,
): Promise<NamespaceReply | DelegateReply> {
  if (request.op === 'delegate') return Promise.resolve(delegateForUser(user, request, peer, services));
  if (request.op !== 'run') throw new Refusal(E.EACCES, 'request', `'${request.op}' needs root`);
  requireOwnUserNs(user, peer.directory, services);
  return enterWithFilter(request, peer, services, listeners, (listener) => {
    requireNewListener(user, listener, services, listeners);
    return createForUser(user, request, peer, services);
  });
}

function delegateForUser(user: User, request: DelegateRequest, peer: Peer, services: Services): DelegateReply {
  const wanted = delegationOf(request);
  const allowed = user.delegate ?? {};
  if (!isWithin(wanted, allowed)) {
    throw new Refusal(E.EPERM, 'delegate', `uid ${user.uid} may delegate '${formatDelegation(allowed)}'`);
  }
  requireOwnUserNs(user, peer.directory, services);
  return delegate(request, wanted, peer, services);
}

function createForUser(user: User, request: RunRequest, peer: Peer, services: Services): Namespace {
  const { name, parent, pins, tracing = 'parent' } = request;
  const isPlain = parent === 'init' && pins === 'own' && (tracing === 'parent' || tracing === 'host');
  if (!isPlain) throw new Refusal(E.EPERM, 'run', 'another parent, --pins=any and --tracing need root');
  const userNs = ownerOfIds(user, peer.directory, services);
  const rest = { ownerUid: user.uid, keep: false, maxNamespaces: 0 };
  return create(namespaceOfUser(user, services), { name, pins, tracing: 'parent' }, userNs, rest, services);
}

const nameOf = ({ uid }: User): string => `user-${uid}`;

/**
 * The namespace above all that the user makes: they share its budget, and no other user's is below
 * it. It ends with the last one below it, so a new one has to be created in the same turn.
 * @throws Refusal EEXIST if root has made another one of that name
 */
export function namespaceOfUser(user: User, { mirror, lifecycle }: Services): Namespace {
  const name = nameOf(user);
  const { init } = mirror.model;
  const existing = init.childCalled(name);
  if (existing && existing.spec.userNs === NOBODYS && existing.spec.ownerUid === user.uid) return existing;
  // If it is of somebody else's making, it refuses: the name is taken.
  return lifecycle.create(init, {
    name,
    pinsAny: false,
    tracing: 'host',
    userNs: NOBODYS,
    ownerUid: user.uid,
    keep: false,
    maxNamespaces: user.namespaces,
  });
}

/** The user namespace in which CAP_BPF counts, for a namespace of this process. @throws Refusal EPERM */
export function ownerOfIds(user: User, process: ProcDir, services: Services): number {
  const inode = requireOwnUserNs(user, process, services);
  return user.delegate === undefined ? NOBODYS : inode;
}

/**
 * Requires a process in a user namespace of the user's own making. It never comes out of that: no
 * setuid program makes it a process with rights on the host, now or later. @returns the inode
 * @throws Refusal EPERM
 */
function requireOwnUserNs(user: User, process: ProcDir, { own }: Services): number {
  const userNs = process.userNamespace();
  if (userNs && userNs.inode !== own.userNs && userNs.ownerUid === user.uid) return userNs.inode;
  throw new Refusal(E.EPERM, 'run', `uid ${user.uid} has to be in a user namespace of their own: use unshare --user`);
}

/** A filter that has a namespace stays there, whoever sends its listener again. @throws Refusal EBUSY, ENOSPC */
export function requireNewListener(user: User, listener: Fd, { mirror }: Services, listeners: Listeners): void {
  if (listeners.has(listener)) throw new Refusal(E.EBUSY, 'listen', 'this listener has been sent before');
  const top = mirror.model.init.childCalled(nameOf(user));
  if (top && listeners.countBelow(top) >= LISTENERS * user.namespaces) {
    throw new Refusal(E.ENOSPC, 'listen', `uid ${user.uid} has ${LISTENERS * user.namespaces} listeners already`);
  }
}
