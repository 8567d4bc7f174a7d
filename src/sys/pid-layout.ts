/** Where the running kernel keeps a task's ids: offsets, from its BTF. */
import { readFileSync } from 'node:fs';
import { Btf, BtfKind } from './btf.js';

export interface PidLayout {
  /** In struct task_struct. */
  readonly groupLeader: number;
  readonly threadPid: number;
  /** In struct pid. */
  readonly pidLevel: number;
  readonly pidNumbers: number;
  /** Of struct upid, which begins with the number. */
  readonly numberSize: number;
}

/** Reads all of the kernel's BTF: some 100 ms. @throws Error if it lacks one of them */
export function readPidLayout(): PidLayout {
  const btf = new Btf(readFileSync('/sys/kernel/btf/vmlinux'));
  const offset = (structure: string, name: string): number => {
    const found = btf.members(btf.find(BtfKind.struct, structure)).find((member) => member.name === name);
    if (!found) throw new RangeError(`the kernel's struct ${structure} has no ${name}`);
    return found.offset;
  };
  return {
    groupLeader: offset('task_struct', 'group_leader'),
    threadPid: offset('task_struct', 'thread_pid'),
    pidLevel: offset('pid', 'level'),
    pidNumbers: offset('pid', 'numbers'),
    numberSize: btf.size(btf.find(BtfKind.struct, 'upid')),
  };
}
