/** The agent's eye in the kernel: what there is to know of a caller, asked in one system call. */
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

  /** undefined where the kernel lacks what it needs (6.3). */
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

  /** Looks at the thread that has the number now; false if there is none. The getters tell of it until the next look. */
  look(tid: number): boolean {
    this.#seen.writeUInt32LE(tid, bpfns_eye.tid);
    return this.#run.run() === 0 && this.#seen.readUInt32LE(bpfns_eye.found) !== 0 && this.memory !== 0;
  }

  /** Effective, in its own user namespace. */
  get capabilities(): Capabilities {
    return this.#seen.readBigUInt64LE(bpfns_eye.capabilities);
  }

  /** An inode. */
  get userNs(): number {
    return this.#seen.readUInt32LE(bpfns_eye.user_ns);
  }

  /** The namespace that it was put into or forked in; init if it is in none, or in one by its filter alone. */
  get namespace(): NamespaceId {
    return namespaceId(this.#seen.readUInt32LE(bpfns_eye.ns));
  }

  /**
   * Names its memory, as long as somebody keeps that open: addresses of the kernel's
   * structures, a cache line apart at least, in a number that is exact.
   */
  get memory(): number {
    const high = this.#seen.readUInt32LE(bpfns_eye.mm + 4) & 0xffff;
    return high * 0x100000000 + this.#seen.readUInt32LE(bpfns_eye.mm);
  }

  close(): void {
    this.#object.close();
  }
}
