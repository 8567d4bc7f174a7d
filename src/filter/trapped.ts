/** The bpf(2) commands that the filter passes to the agent. All others run natively. */
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

export type TrappedCommand = (typeof trappedCommands)[number];

/** For guests that may not enable run statistics: the kernel then refuses it (EPERM). */
export const trappedWithoutStats = trappedCommands.filter((command) => command !== bpf_cmd.BPF_ENABLE_STATS);

/** All others that src/sys/kernel.gen.ts knows. BPF_COMMON_ATTRS is a flag, and so above them all. */
export const nativeCommands: readonly number[] = [...new Set<number>(Object.values(bpf_cmd))].filter(
  (command) => command < bpf_cmd.BPF_COMMON_ATTRS && !(trappedCommands as readonly number[]).includes(command),
);

/** Beside {@link trappedWithoutStats}. */
export const nativeWithStats: readonly number[] = [...nativeCommands, bpf_cmd.BPF_ENABLE_STATS];
