/** Which tracepoints a guest may use whose programs see their own tasks only. */
import { tracepointId, tracepointsOf, withTracefs } from '../../../sys/tracepoint.js';

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

export interface Tracepoint {
  readonly system: string;
  readonly name: string;
  readonly id: number;
}

/** All of them that this kernel has. @param root of a tracefs */
function allowedTracepoints(root: string): Tracepoint[] {
  return listed.flatMap(([system, only]) =>
    tracepointsOf(root, system)
      .filter((name) => only === '' || name === only)
      .map((name) => ({ system, name, id: tracepointId(root, system, name) })),
  );
}

let ids: Set<number> | undefined;

export function isAllowedTracepoint(id: number): boolean {
  ids ??= new Set(withTracefs((root) => allowedTracepoints(root).map((each) => each.id)));
  return ids.has(id);
}
