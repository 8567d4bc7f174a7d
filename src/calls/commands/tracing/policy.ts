/** What the tracing mode of a namespace means for a call. */
import { E } from '../../../sys/errno.js';
import { CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN } from '../../../sys/task.js';
import type { Call } from '../../call.js';
import type { Services } from '../../services.js';

/**
 * Whether the kernel would let the caller trace all by itself. Then nothing may be left to the
 * kernel in a namespace with tracing=own or none: what it is asked can be exchanged by then.
 */
export function mayTraceAll({ initCapabilities }: Call): boolean {
  return (initCapabilities & (CAP_PERFMON | CAP_SYS_ADMIN)) !== 0n;
}

/** What the kernel wants before it looks at a program of any tracing type. */
export function mayLoadPrograms({ initCapabilities }: Call): boolean {
  return (initCapabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
}

export const HAS_PRIVILEGE =
  'the caller has CAP_PERFMON or CAP_SYS_ADMIN, with which it could trace the whole machine: take them away';

/** Tells of a refusal. @returns -errno */
export function refuse(
  call: Call,
  services: Services,
  command: string,
  reason: string,
  errno: number = E.EPERM,
): number {
  const namespace = call.namespace.id;
  services.statistics.refusedTracing++;
  services.events.emit({ event: 'tracing-refused', command, ...call.caller.shown, namespace, reason });
  return -errno;
}
