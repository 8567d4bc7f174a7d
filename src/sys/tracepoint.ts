/** Opens a syscall tracepoint as a perf event. */
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { check } from './errno.js';
import { perf_event_attr } from './kernel.gen.js';
import { mount, SYS, syscallPerfEventOpen, umount2 } from './libc.js';

const PERF_TYPE_TRACEPOINT = 2;
const PERF_FLAG_FD_CLOEXEC = 8;
const usual = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** The perf event of `syscalls:<name>`: the caller's to close. @throws SyscallError */
export function openSyscallTracepoint(name: string): number {
  const attr = Buffer.alloc(perf_event_attr.sizeof);
  attr.writeUInt32LE(PERF_TYPE_TRACEPOINT, perf_event_attr.type);
  attr.writeUInt32LE(attr.length, perf_event_attr.size);
  attr.writeBigUInt64LE(BigInt(tracepointId(name)), perf_event_attr.config);
  // A BPF program on a tracepoint runs on every CPU, whichever the event was opened for.
  const fd = syscallPerfEventOpen(SYS.perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return check(fd, 'perf_event_open', `cannot open the tracepoint syscalls:${name}`);
}

function tracepointId(name: string): number {
  const file = `events/syscalls/${name}/id`;
  for (const root of usual) {
    try {
      return Number(readFileSync(`${root}/${file}`, 'latin1'));
    } catch {
      // Not mounted there.
    }
  }
  // tracefs is not mounted: look into one of our own for a moment.
  const own = mkdtempSync('/run/bpfns-tracefs-');
  check(mount('bpfns', own, 'tracefs', 0, null), 'mount', `cannot mount tracefs at '${own}'`);
  try {
    return Number(readFileSync(`${own}/${file}`, 'latin1'));
  } finally {
    umount2(own, 0);
    rmdirSync(own);
  }
}
