/**
 * BPF_ENABLE_STATS: the kernel counts the runs of all programs while the caller keeps the fd. The
 * kernel requires CAP_SYS_ADMIN; in a namespace the right to use ids suffices, except in user
 * namespaces: whoever makes one has all capabilities there, and this costs the whole machine. A
 * guest that may not (`--no-stats`) has a filter that does not trap this command.
 */
import { bpf } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { Fd } from '../../sys/fd.js';
import { bpf_attr, bpf_cmd } from '../../sys/kernel.gen.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';

const END = bpf_attr.enable_stats_type + 4;
const attr = Buffer.alloc(END);

/** Order of checks as in bpf_enable_stats() (kernel/bpf/syscall.c). */
export function enableStats(call: Call, { events }: Services): Reply {
  if (call.hasUnknownBits(END)) return -E.EINVAL;
  if (!call.mayUseIds || !call.isInInitUserNs) return -E.EPERM;
  call.attr.copy(attr, 0, 0, END);
  const fd = new Fd(bpf(bpf_cmd.BPF_ENABLE_STATS, attr, END));
  if (fd.isOpen) events.emit({ event: 'stats-enabled', ...call.caller.shown, namespace: call.namespace.id });
  return fd;
}
