/** Tracepoints: their ids, and perf events of them. */
import { mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { check } from './errno.js';
import { perf_event_attr } from './kernel.gen.js';
import { mount, SYS, syscallPerfEventOpen, umount2 } from './libc.js';

export const PERF_TYPE_TRACEPOINT = 2;
export const PERF_FLAG_FD_CLOEXEC = 8;
/** The word of flags in struct perf_event_attr: its bit fields have no offsets of their own. */
export const PERF_ATTR_FLAGS = 40;
export const PERF_ATTR_DISABLED = 1;
const usual = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** Opens the perf event of a tracepoint. The caller closes it. @throws SyscallError */
export function openTracepoint(system: string, name: string): number {
  const attr = Buffer.alloc(perf_event_attr.sizeof);
  attr.writeUInt32LE(PERF_TYPE_TRACEPOINT, perf_event_attr.type);
  attr.writeUInt32LE(attr.length, perf_event_attr.size);
  const id = withTracefs((root) => tracepointId(root, system, name));
  attr.writeBigUInt64LE(BigInt(id), perf_event_attr.config);
  // A BPF program on a tracepoint runs on every CPU, whichever CPU the event was opened for.
  const fd = syscallPerfEventOpen(SYS.perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return check(fd, 'perf_event_open', `cannot open the tracepoint ${system}:${name}`);
}

/** @param root of a tracefs. @throws Error if there is no such tracepoint */
export function tracepointId(root: string, system: string, name: string): number {
  return Number(readFileSync(`${root}/events/${system}/${name}/id`, 'latin1'));
}

/** The tracepoints of a system such as 'syscalls'; none if the kernel has no such system. */
export function tracepointsOf(root: string, system: string): string[] {
  try {
    const entries = readdirSync(`${root}/events/${system}`, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    return [];
  }
}

export interface Tracepoint {
  readonly system: string;
  readonly name: string;
  readonly id: number;
}

export interface Tracefs extends Disposable {
  /** Its directory. */
  readonly root: string;
}

/** Where no tracefs is mounted, one is until this is disposed of. @throws SyscallError */
export function openTracefs(): Tracefs {
  for (const root of usual) {
    try {
      readFileSync(`${root}/events/header_page`);
    } catch {
      continue; // not mounted there
    }
    return { root, [Symbol.dispose]: () => undefined };
  }
  const root = mkdtempSync('/run/bpfns-tracefs-');
  check(mount('bpfns', root, 'tracefs', 0, null), 'mount', `cannot mount tracefs at '${root}'`);
  const unmount = (): void => {
    umount2(root, 0);
    rmdirSync(root);
  };
  return { root, [Symbol.dispose]: unmount };
}

/** Calls `use` with the root of a tracefs, as {@link openTracefs}. @throws SyscallError */
export function withTracefs<T>(use: (root: string) => T): T {
  using tracefs = openTracefs();
  return use(tracefs.root);
}
