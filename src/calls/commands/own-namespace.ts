/**
 * bpfns' own command of bpf(2), which `bpfns run` uses in a namespace: it enters a new child, or
 * describes the caller's namespace.
 */
import { OWN_NAMESPACE, type OwnNamespace } from '../../filter/own-command.js';
import { nameProblem } from '../../model/names.js';
import { BPFNS_NAME_LEN } from '../../sys/contract.gen.js';
import { E } from '../../sys/errno.js';
import { readPointer } from '../../sys/seccomp.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';
import { enterChild } from './child.js';

/**
 * struct { u32 flags; u32 name_length; u64 name }. Enters a new child, optionally with a name, or
 * describes the caller's namespace.
 */
export function ownNamespace(call: Call, services: Services): Reply {
  const requested = call.attr.readUInt32LE(OWN_NAMESPACE.flags);
  const length = call.attr.readUInt32LE(OWN_NAMESPACE.nameLength);
  if (call.hasUnknownBits(OWN_NAMESPACE.sizeof)) return -E.EINVAL;
  if (requested === OWN_NAMESPACE.tell) return tell(call, services, length);
  if ((requested & ~OWN_NAMESPACE.pinsAny) !== 0 || length >= BPFNS_NAME_LEN) return -E.EINVAL;
  // A namespace cannot give a child more than it has.
  if (requested !== 0 && !call.namespace.spec.pinsAny) return -E.EPERM;
  const bytes = Buffer.alloc(length);
  if (length > 0 && !call.read(readPointer(call.attr, OWN_NAMESPACE.name), bytes, length)) return -E.EFAULT;
  const name = bytes.toString('latin1');
  if (name !== '' && nameProblem(name)) return -E.EINVAL;
  return enterChild(call, services, { name, pinsAny: requested !== 0 });
}

/** @returns the length of the answer, which does not have the names of ancestors */
function tell(call: Call, { lost }: Services, room: number): Reply {
  const { id, level, spec } = call.namespace;
  const text = Buffer.from(
    JSON.stringify({ id, name: spec.name, level, isLost: lost.has(call.source.container) } satisfies OwnNamespace),
  );
  if (text.length > room) return -E.ENOSPC;
  return call.write(readPointer(call.attr, OWN_NAMESPACE.name), text, text.length) ? text.length : -E.EFAULT;
}
