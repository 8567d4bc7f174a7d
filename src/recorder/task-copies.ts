/** Copies the state of every task from an earlier recorder's map into a new one's, while tasks fork (bpf/carry.bpf.c). */
import { bpfns_earlier_task } from '../sys/contract.gen.js';
import { E, SyscallError } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { awaitRunningPrograms } from '../sys/grace.js';
import { type Attached, BpfObject } from '../sys/libbpf.js';
import { read } from '../sys/libc.js';
import { mapTypes } from '../sys/map-types.js';
import { bpfObjectPath } from '../sys/object-path.js';

/** A program cannot get at a task's state while it interrupts another one that does. */
const TRIES = 5;

/** From here on children have what the earlier recorder gives them. Close it when that one is gone. */
export class TaskCopies implements Disposable {
  readonly #object: BpfObject;
  readonly #links: Attached[] = [];

  /** @param earlier and `own`: the maps "tasks". Both recorders are attached. @throws SyscallError, RangeError */
  constructor(earlier: number, own: number) {
    this.#object = new BpfObject(bpfObjectPath('carry'));
    try {
      this.#object.reuseMap('old_tasks', earlier);
      this.#object.reuseMap('tasks', own);
      this.#object.setReadOnlyData(offsetsIn(earlier));
      this.#object.load();
      this.#links.push(this.#object.attach('carry_forked'));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    // A fork that did not see our hook has made its child, and our walk finds it.
    awaitRunningPrograms();
  }

  /** Copies the state of all tasks that there are. @throws SyscallError ENOMEM */
  copyAll(): void {
    const walk = this.#object.attach('carry_tasks');
    this.#links.push(walk);
    for (let left = TRIES; this.#missed(walk) > 0; left--) {
      if (left === 1) throw new SyscallError(E.ENOMEM, 'bpf', 'cannot copy the state of every task');
    }
  }

  /** Walks over all tasks once. @returns how many bytes it had to say of those that it missed */
  #missed(walk: Attached): number {
    using iterator = new Fd(walk.iterate());
    const tids = Buffer.alloc(4096);
    for (let missed = 0; ; ) {
      const length = read(iterator.number, tids, tids.length);
      if (length === -E.EAGAIN) continue; // it has passed a million tasks, and wants to be asked again
      if (length < 0) throw new SyscallError(-length, 'read', 'cannot walk over all tasks');
      if (length === 0) return missed;
      missed += length;
    }
  }

  [Symbol.dispose](): void {
    for (const link of this.#links) link.close();
    this.#object.close();
  }
}

/** `struct bpfns_earlier_task` of an earlier map "tasks". @throws RangeError if a member is missing */
function offsetsIn(tasks: number): Buffer {
  const { btf, type } = mapTypes(tasks).value;
  const members = new Map(btf.members(type).map(({ name, offset }) => [name, offset]));
  const offsets = Buffer.alloc(bpfns_earlier_task.sizeof);
  for (const name of ['ns', 'cmd', 'newest', 'next'] as const) {
    const offset = members.get(name);
    if (offset === undefined) throw new RangeError(`the earlier state of tasks has no member '${name}'`);
    offsets.writeUInt32LE(offset, bpfns_earlier_task[name]);
  }
  return offsets;
}
