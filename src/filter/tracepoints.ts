/** Which tracepoints a guest may use whose programs see their own tasks only. */
import { type Tracepoint, tracepointId, tracepointsOf } from '../sys/tracepoint.js';

/**
 * Those that are hit by the task that they are about, and whose fields say nothing of others: no
 * task that is switched to or woken up, no ids of the host, no addresses of the kernel.
 * '' stands for all of a system.
 */
const listed: ReadonlyArray<readonly [system: string, name: string]> = [
  ['syscalls', ''],
  ['raw_syscalls', ''],
  ['signal', 'signal_deliver'],
  ['exceptions', 'page_fault_user'],
];

/** All of them that this kernel has. @param root of a tracefs */
export function allowedTracepoints(root: string): Tracepoint[] {
  return listed.flatMap(([system, only]) =>
    tracepointsOf(root, system)
      .filter((name) => only === '' || name === only)
      .map((name) => ({ system, name, id: tracepointId(root, system, name) })),
  );
}
