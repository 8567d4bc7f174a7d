/** The agent's eye in the kernel: everything about a caller, in one system call. */
import { type Kind, kinds, type NamespaceId, namespaceId } from '../model/ids.js';
import { Block } from '../sys/block.js';
import { PreparedRun } from '../sys/bpf.js';
import { bpfns_eye } from '../sys/contract.gen.js';
import { SyscallError } from '../sys/errno.js';
import { BpfObject } from '../sys/libbpf.js';
import { bpfObjectPath } from '../sys/object-path.js';
import { noRights, Rights } from '../sys/task.js';
import type { Recorder } from './recorder.js';
import { isOpenNote } from './task-states.js';

export class Eye {
  readonly #object: BpfObject;
  readonly #seen = Block.alloc(bpfns_eye.sizeof);
  readonly #run: PreparedRun;
  /** Those of the caller before, which are mostly the same again. */
  #rights = noRights;
  #low = 0;
  #high = 0;

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
   * @param fd one of our own fds, whose {@link kind} is wanted; or -1
   */
  look(tid: number, fd = -1): boolean {
    this.#seen.words[bpfns_eye.tid / 4] = tid;
    this.#seen.words[bpfns_eye.fd / 4] = fd;
    return this.#run.run() === 0 && this.#word(bpfns_eye.found) !== 0 && this.memory !== 0;
  }

  /** By the effective capabilities, in its own user namespace. */
  get rights(): Rights {
    const low = this.#word(bpfns_eye.capabilities);
    const high = this.#word(bpfns_eye.capabilities + 4);
    if (low !== this.#low || high !== this.#high) {
      this.#rights = new Rights((BigInt(high) << 32n) | BigInt(low));
      this.#low = low;
      this.#high = high;
    }
    return this.#rights;
  }

  /** The inode of its user namespace. */
  get userNs(): number {
    return this.#word(bpfns_eye.user_ns);
  }

  /** The namespace that it was put into or forked in; init if it is in none, or in one only by its filter. */
  get namespace(): NamespaceId {
    return namespaceId(this.#word(bpfns_eye.ns));
  }

  /** Whether no hook saw the return of its last call that creates, and nobody has looked since. It is in another now. */
  get wasMissed(): boolean {
    return isOpenNote(this.#word(bpfns_eye.cmd));
  }

  /**
   * Identifies its memory, as long as somebody keeps that open. It is the address of a kernel
   * structure, at least a cache line apart from others, as an exact number.
   */
  get memory(): number {
    return (this.#word(bpfns_eye.mm + 4) & 0xffff) * 0x100000000 + this.#word(bpfns_eye.mm);
  }

  /**
   * When it started: threads that have the same number one after the other differ in that. To a few
   * ns, where the machine has been up for months.
   */
  get started(): number {
    return this.#word(bpfns_eye.started + 4) * 0x100000000 + this.#word(bpfns_eye.started);
  }

  /** The kind of the object behind the fd; undefined for another file, or for a token. */
  get kind(): Kind | undefined {
    return kinds[this.#word(bpfns_eye.kind)];
  }

  #word(offset: number): number {
    return this.#seen.words[offset / 4] ?? 0;
  }

  close(): void {
    this.#object.close();
  }
}
