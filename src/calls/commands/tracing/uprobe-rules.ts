/** Which uprobes are harmless to others who run the same file. */
import type { Place } from '../../../sys/probe-places.js';
import type { Probe } from '../pins/path-request.js';

/** What is to be known of the file, the target and the kernel. */
export interface Circumstances {
  /** What the file has at the offset; undefined if nothing is known to begin there. */
  readonly place: Place | undefined;
  /** Whether the breakpoint goes into the memory of all tasks. */
  readonly isForAll: boolean;
  /** Whether the caller could change the file itself: then whoever runs it trusts the caller. */
  readonly mayWrite: boolean;
  /** Whether the caller could kill the one process anyway. */
  readonly mayKill: boolean;
  /** Whether the kernel keeps a return probe of one task from the others that hit the same breakpoint (6.13). */
  readonly keepsReturnsApart: boolean;
}

/** The semaphore to use, or why the probe is refused. */
export function judge(probe: Probe, circumstances: Circumstances): number | string {
  const { place } = circumstances;
  const { offset, semaphore, isReturn } = probe;
  const at = `at offset 0x${offset.toString(16)}`;
  if (!place) return `a uprobe ${at}: neither a function nor a USDT probe is there, by the file's own tables`;
  if (isReturn) {
    const refusal = refuseReturn(circumstances);
    if (refusal !== undefined) return `a return probe ${at}: ${refusal}`;
  }
  const [first] = place.semaphores;
  // All probes at a place must have the same, or the kernel refuses the later ones: so nobody chooses another. What
  // the notes do not have is not refused: bcc 0.26 passes whatever is on its stack.
  return place.semaphores.includes(semaphore) ? semaphore : (first ?? 0);
}

/**
 * A return probe puts another address in the place of the return address. Where a program looks at that,
 * or goes on by another way, it dies: setjmp(3), exceptions of C++, stacks that are moved (Go), seccomp.
 */
function refuseReturn(circumstances: Circumstances): string | undefined {
  const { place, isForAll, mayWrite, mayKill, keepsReturnsApart } = circumstances;
  if (!place?.isFunction) return 'no function begins there that is called';
  if (mayWrite) return undefined;
  if (!isForAll && !mayKill) return 'it can kill the process, which is of another user';
  if (isForAll) return 'it can kill others who run this file, which the caller may not write: name a process (-p)';
  if (!keepsReturnsApart)
    return 'before Linux 6.13 it can kill others who run this file, which the caller may not write';
  return undefined;
}
