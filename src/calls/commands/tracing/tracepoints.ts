/** Whether a guest with tracing=own may use a tracepoint. */
import { allowedTracepoints } from '../../../filter/tracepoints.js';
import { withTracefs } from '../../../sys/tracepoint.js';

let ids: Set<number> | undefined;

export function isAllowedTracepoint(id: number): boolean {
  ids ??= new Set(withTracefs((root) => allowedTracepoints(root).map((each) => each.id)));
  return ids.has(id);
}
