/** The memory of programs that the agent loads for guests: charged to the agent, so bounded for each namespace. */
import { readFileSync } from 'node:fs';
import type { Namespace } from '../../../model/namespaces.js';
import type { Mirror } from '../../../recorder/mirror.js';
import { withObject } from '../../../sys/bpf.js';

/** In bytes. A program of a one-line script takes 4096. */
const MAX_PROGRAM_MEMORY = 64 * 1024 * 1024;
/** Of each program: it does not change. */
const sizes = new WeakMap<Namespace, Map<number, number>>();

/** Whether the programs of a namespace use as much as they may. */
export function isOverLimit(namespace: Namespace, mirror: Mirror): boolean {
  return programMemory(namespace, mirror) >= MAX_PROGRAM_MEMORY;
}

/** Bytes of all its programs that are alive. */
function programMemory(namespace: Namespace, mirror: Mirror): number {
  const known = sizes.get(namespace) ?? new Map<number, number>();
  sizes.set(namespace, known);
  let sum = 0;
  for (const host of [...namespace.owned.prog]) {
    if (!mirror.isAlive('prog', host)) {
      known.delete(host);
      continue;
    }
    const size = known.get(host) ?? withObject('prog', host, lockedMemory) ?? 0;
    known.set(host, size);
    sum += size;
  }
  return sum;
}

/** What fdinfo says of a program of ours: bpf_prog_show_fdinfo() in kernel/bpf/syscall.c. */
function lockedMemory(fd: number): number {
  return Number(/^memlock:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? 0);
}
