/** Who may use perf events, which uprobes, kprobes and tracepoints of tracing programs need. */
import { readFileSync } from 'node:fs';

/** kernel.perf_event_paranoid; undefined if it cannot be read. */
export function perfEventParanoid(): number | undefined {
  try {
    return Number(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'latin1'));
  } catch {
    return undefined; // no perf events, or no /proc
  }
}

/** Debian's and Ubuntu's kernels know level 3 and above; others treat it as 2. */
const REFUSES_ALL = 3;

/** What follows for guests, or undefined if nothing does. */
export function perfEventAdvice(level: number | undefined): string | undefined {
  if (level === undefined || level < REFUSES_ALL) return undefined;
  return (
    `kernel.perf_event_paranoid is ${level}: perf events are refused to all guests without CAP_PERFMON or ` +
    "CAP_SYS_ADMIN, even for their own processes; 'sysctl kernel.perf_event_paranoid=2' allows those"
  );
}
