/** Kprobes on the return of kernel functions (kernel/trace/fprobe.c). */
import { readFileSync } from 'node:fs';
import { Btf, BtfKind } from './btf.js';

/**
 * Whether a kprobe at the return of a function keeps its state with the task (6.14). Before, there is a fixed
 * number of places, which tasks that sleep in bpf(2) use up.
 */
export function kprobesKeepUp(): boolean {
  try {
    return new Btf(readFileSync('/sys/kernel/btf/vmlinux')).find(BtfKind.struct, 'fprobe_hlist') !== 0;
  } catch {
    return false;
  }
}
