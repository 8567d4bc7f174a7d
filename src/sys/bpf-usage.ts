/** The cost of programs and maps, as the kernel counts it. */
import { bpf, getInfoByFd } from './bpf.js';
import { bpf_attr, bpf_cmd, bpf_prog_info } from './kernel.gen.js';
import { close, O_CLOEXEC, O_RDONLY, open, read } from './libc.js';

const BPF_STATS_RUN_TIME = 0;

/**
 * Makes the kernel count runs and run time of all programs, as long as the returned fd is open
 * (Linux 5.8). -EPERM without CAP_SYS_ADMIN.
 */
export function enableRunTimeStatistics(): number {
  const attr = Buffer.alloc(bpf_attr.enable_stats_type + 4);
  attr.writeUInt32LE(BPF_STATS_RUN_TIME, bpf_attr.enable_stats_type);
  return bpf(bpf_cmd.BPF_ENABLE_STATS, attr, attr.length);
}

/** Runs while statistics were on, since the program was loaded. */
export interface RunCounters {
  readonly runs: number;
  readonly runTimeNs: number;
  /** In nanoseconds since boot. It distinguishes programs that had the same id one after another. */
  readonly loadTimeNs: number;
}

const info = Buffer.alloc(bpf_prog_info.sizeof);

/** Undefined if the kernel does not report it. */
export function runCountersOf(prog: number): RunCounters | undefined {
  info.fill(0); // clears array lengths of the last answer
  if (getInfoByFd(prog, info, info.length) < 0) return undefined;
  return {
    runs: Number(info.readBigUInt64LE(bpf_prog_info.run_cnt)),
    runTimeNs: Number(info.readBigUInt64LE(bpf_prog_info.run_time_ns)),
    loadTimeNs: Number(info.readBigUInt64LE(bpf_prog_info.load_time)),
  };
}

const text = Buffer.alloc(2048);

/**
 * The kernel's memory for a map or program, in bytes (`memlock` in its fdinfo); 0 if the kernel
 * does not report it.
 */
export function memoryOf(fd: number): number {
  const file = open(`/proc/self/fdinfo/${fd}`, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const length = read(file, text, text.length);
  close(file);
  return Number(/^memlock:\t(\d+)$/m.exec(text.toString('latin1', 0, Math.max(0, length)))?.[1] ?? 0);
}
