/**
 * BPF_RAW_TRACEPOINT_OPEN in a namespace that may not trace it all. Nothing is attached to a raw tracepoint:
 * what its programs are given are addresses of the kernel. Such programs can be loaded all the same, if they
 * do not look at that, for BPF_PROG_TEST_RUN.
 */
import type { Call, Reply } from '../../call.js';
import type { Services } from '../../services.js';
import { refuse } from './policy.js';

export function rawTracepointOpen(call: Call, services: Services): Reply {
  const { tracing } = call.namespace.spec;
  // In `filtered` the kernel decides, as the guest has CAP_PERFMON.
  if (tracing === 'host' || tracing === 'filtered') return 'continue';
  return refuse(call, services, 'RAW_TRACEPOINT_OPEN', 'raw tracepoints give addresses of the kernel');
}
