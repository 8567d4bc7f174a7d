/**
 * Delegates to a user namespace: makes the bpffs from whose mount BPF tokens are created there. The
 * kernel has the context made in that user namespace, and configured by somebody privileged.
 */
import type { Services } from '../calls/services.js';
import type { DelegateReply, DelegateRequest } from '../control/protocol.js';
import { type Delegation, delegationKeys, parseDelegation } from '../model/delegation.js';
import { userNsOfContext } from '../recorder/fs-context.js';
import { check, E, Refusal } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { getForeignFd } from '../sys/foreign-fd.js';
import { createIn, setOption } from '../sys/new-mount.js';
import type { Peer } from './peer.js';

/** @throws Refusal EINVAL */
export function delegationOf({ what }: DelegateRequest): Delegation {
  const delegation = parseDelegation(what);
  if (!delegation) throw new Refusal(E.EINVAL, 'delegate', `'${what}' is no delegation`);
  return delegation;
}

/**
 * Makes the file system of the peer's context. The peer mounts it, with its own rights: nothing
 * here looks at its paths. @throws SyscallError
 */
export function delegate(
  request: DelegateRequest,
  delegation: Delegation,
  peer: Peer,
  { own, mirror }: Services,
): DelegateReply {
  using context = getForeignFd(peer.pidfd, request.context, peer.owner).checked(
    'pidfd_getfd',
    "cannot take the caller's context",
  );
  // All checks are about this one file, which the caller cannot exchange any more.
  const userNs = userNsOfContext(context, mirror.recorder);
  if (userNs === 0) throw new Refusal(E.EINVAL, 'delegate', `fd ${request.context} is not a context of bpffs`);
  if (userNs === own.userNs) {
    throw new Refusal(E.EOPNOTSUPP, 'delegate', 'BPF tokens are for user namespaces: use unshare --user');
  }
  if (userNs !== peer.directory.namespaceInode('user')) {
    throw new Refusal(E.EPERM, 'delegate', 'the context was made in another user namespace than the caller is in');
  }
  makeFileSystem(context, delegation);
  return { delegated: true };
}

/** @throws SyscallError */
export function makeFileSystem(context: Fd, delegation: Delegation): void {
  for (const key of delegationKeys) {
    const words = delegation[key];
    if (words === undefined) continue;
    check(setOption(context, `delegate_${key}`, words), 'fsconfig', `the kernel refuses ${key}=${words}`);
  }
  check(createIn(context), 'fsconfig', 'the kernel refuses to make the bpffs');
}
