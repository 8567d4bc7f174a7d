/** The agent's eye in the kernel: everything about a caller, in one system call. */
import { type NamespaceId, namespaceId } from '../model/ids.js';
import { PreparedRun } from '../sys/bpf.js';
import { bpfns_eye } from '../sys/contract.gen.js';
import { SyscallError } from '../sys/errno.js';
import { BpfObject } from '../sys/libbpf.js';
import { bpfObjectPath } from '../sys/object-path.js';
import type { Capabilities } from '../sys/task.js';
import type { Recorder } from './recorder.js';

export class Eye {
  readonly #object: BpfObject;
  readonly #seen = Buffer.alloc(bpfns_eye.sizeof);
  readonly #run: PreparedRun;

  private constructor(object: BpfObject) {
    this.#object = object;
    this.#run = new PreparedRun(object.programFd('eye'), this.#seen);
  }

  /** Undefined where the kernel lacks a feature that it needs (6.3). */
  static open(recorder: Recorder): Eye | undefined {
    const object = new BpfObject(bpfObjectPath('eye'));
    try {
      object.reuseMap('tasks', recorder.mapFd('tasks'));
      object.reuseMap('filters', recorder.mapFd('filters'));
      object.load();
      return new Eye(object);
    } catch (error) {
      object.close();
      if (error instanceof SyscallError) return undefined;
      throw error;
    }
  }

  /**
   * Examines the thread that has this number now. @returns false if there is none. The getters
   * describe it until the next look.
   */
  look(tid: number): boolean {
    this.#seen.writeUInt32LE(tid, bpfns_eye.tid);
    return this.#run.run() === 0 && this.#seen.readUInt32LE(bpfns_eye.found) !== 0 && this.memory !== 0;
  }

  /** The effective capabilities, in its own user namespace. */
  get capabilities(): Capabilities {
    return this.#seen.readBigUInt64LE(bpfns_eye.capabilities);
  }

  /** The inode of its user namespace. */
  get userNs(): number {
    return this.#seen.readUInt32LE(bpfns_eye.user_ns);
  }

  /** The namespace that it was put into or forked in; init if it is in none, or in one only by its filter. */
  get namespace(): NamespaceId {
    return namespaceId(this.#seen.readUInt32LE(bpfns_eye.ns));
  }

  /**
   * Identifies its memory, as long as somebody keeps that open. It is the address of a kernel
   * structure, at least a cache line apart from others, as an exact number.
   */
  get memory(): number {
    const high = this.#seen.readUInt32LE(bpfns_eye.mm + 4) & 0xffff;
    return high * 0x100000000 + this.#seen.readUInt32LE(bpfns_eye.mm);
  }

  close(): void {
    this.#object.close();
  }
}
