/** Where the running kernel keeps a task's ids: offsets, from its BTF. */
import { readFileSync } from 'node:fs';
import { Btf, BtfKind, type BtfMember } from './btf.js';

export interface PidLayout {
  /** In struct task_struct. */
  readonly groupLeader: number;
  readonly threadPid: number;
  /** In struct pid. */
  readonly pidLevel: number;
  readonly pidNumbers: number;
  /** Of struct upid, which begins with the number. */
  readonly numberSize: number;
  /** Whether programs may read any of the numbers. Before Linux 6.5 the array is said to have one. */
  readonly isOpenEnded: boolean;
}

/** Reads all of the kernel's BTF: some 100 ms. @throws Error if it lacks one of them */
export function readPidLayout(): PidLayout {
  const btf = new Btf(readFileSync('/sys/kernel/btf/vmlinux'));
  const member = (structure: string, name: string): BtfMember => {
    const found = btf.members(btf.find(BtfKind.struct, structure)).find((each) => each.name === name);
    if (!found) throw new RangeError(`the kernel's struct ${structure} has no ${name}`);
    return found;
  };
  const offset = (structure: string, name: string): number => member(structure, name).offset;
  return {
    groupLeader: offset('task_struct', 'group_leader'),
    threadPid: offset('task_struct', 'thread_pid'),
    pidLevel: offset('pid', 'level'),
    pidNumbers: offset('pid', 'numbers'),
    numberSize: btf.size(btf.find(BtfKind.struct, 'upid')),
    isOpenEnded: btf.size(member('pid', 'numbers').type) === 0,
  };
}
