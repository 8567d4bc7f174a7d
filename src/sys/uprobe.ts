/** Facts about uprobes as perf events. */
import { readFileSync } from 'node:fs';
import { Btf, BtfKind } from './btf.js';

/** In attr.config: include/linux/trace_events.h, kernel/events/core.c (uprobe_attr_groups). */
export const RETURN_PROBE = 1n;
export const REF_CTR_SHIFT = 32n;
/** perf_event_open(2): `pid` is the fd of a cgroup. */
export const PERF_FLAG_PID_CGROUP = 4;

let type: number | undefined;

/** The type of the PMU; -1 if the kernel has none. */
export function uprobeType(): number {
  if (type !== undefined) return type;
  try {
    type = Number(readFileSync('/sys/bus/event_source/devices/uprobe/type', 'latin1'));
  } catch {
    type = -1;
  }
  return type;
}

let isApart: boolean | undefined;

/**
 * Whether the return probe of one task is kept from other tasks that hit the same breakpoint, which is there
 * for somebody else's probe: handler_chain() (kernel/events/uprobes.c) since 6.13, which gave each consumer an
 * id. Reads all of the kernel's BTF the first time.
 */
export function keepsReturnsApart(): boolean {
  if (isApart === undefined) {
    const btf = new Btf(readFileSync('/sys/kernel/btf/vmlinux'));
    const consumer = btf.find(BtfKind.struct, 'uprobe_consumer');
    isApart = consumer !== 0 && btf.members(consumer).some(({ name }) => name === 'id');
  }
  return isApart;
}
