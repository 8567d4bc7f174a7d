/** The bpf(2) commands that the filter passes to the agent. All others run natively. */
import type { TracingMode } from '../model/namespaces.js';
import { bpf_cmd } from '../sys/kernel.gen.js';
import { OWN_NAMESPACE } from './own-command.js';

export const trappedCommands = [
  bpf_cmd.BPF_PROG_GET_NEXT_ID,
  bpf_cmd.BPF_MAP_GET_NEXT_ID,
  bpf_cmd.BPF_LINK_GET_NEXT_ID,
  bpf_cmd.BPF_BTF_GET_NEXT_ID,
  bpf_cmd.BPF_PROG_GET_FD_BY_ID,
  bpf_cmd.BPF_MAP_GET_FD_BY_ID,
  bpf_cmd.BPF_LINK_GET_FD_BY_ID,
  bpf_cmd.BPF_BTF_GET_FD_BY_ID,
  bpf_cmd.BPF_OBJ_GET_INFO_BY_FD,
  bpf_cmd.BPF_PROG_QUERY,
  bpf_cmd.BPF_TASK_FD_QUERY,
  bpf_cmd.BPF_OBJ_GET,
  bpf_cmd.BPF_ITER_CREATE,
  bpf_cmd.BPF_LINK_CREATE,
  bpf_cmd.BPF_PROG_ATTACH,
  bpf_cmd.BPF_PROG_DETACH,
  bpf_cmd.BPF_ENABLE_STATS,
  OWN_NAMESPACE.command,
] as const;

/** Also in namespaces whose programs see no more than their own tasks; with them goes perf_event_open(2). */
export const tracingCommands = [bpf_cmd.BPF_PROG_LOAD, bpf_cmd.BPF_RAW_TRACEPOINT_OPEN] as const;

export type TrappedCommand = (typeof trappedCommands | typeof tracingCommands)[number];

/**
 * The commands that are trapped in a namespace.
 * @param stats false for guests that may not enable run statistics: the kernel then refuses it (EPERM)
 */
export function trappedFor(tracing: TracingMode, stats = true): readonly number[] {
  const all = tracing === 'host' ? trappedCommands : [...trappedCommands, ...tracingCommands];
  return stats ? all : all.filter((command) => command !== bpf_cmd.BPF_ENABLE_STATS);
}

/**
 * All others that src/sys/kernel.gen.ts knows, in the same namespace. BPF_COMMON_ATTRS is a flag, and so above
 * them all.
 */
export function nativeFor(tracing: TracingMode, stats = true): readonly number[] {
  const trapped = trappedFor(tracing, stats);
  return [...new Set<number>(Object.values(bpf_cmd))].filter(
    (command) => command < bpf_cmd.BPF_COMMON_ATTRS && !trapped.includes(command),
  );
}
