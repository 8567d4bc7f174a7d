/**
 * The memory of programs that the agent loads for guests: charged to the agent, so bounded for each
 * top-level namespace with all below it.
 */
import { readFileSync } from 'node:fs';
import { type HostId, hostId } from '../../../model/ids.js';
import type { Namespace } from '../../../model/namespaces.js';
import { isTracingType } from '../../../program/check.js';
import type { Mirror } from '../../../recorder/mirror.js';
import { getInfoByFd, idOfFd, withObject } from '../../../sys/bpf.js';
import { bpf_prog_info } from '../../../sys/kernel.gen.js';

/** Which programs are dead is found out by looking at each: that takes no more of the time than one part in so many. */
const LOOKING = 10;

/** What the programs of a top-level namespace take. */
class Account {
  readonly #sizes = new Map<HostId, number>();
  #sum = 0;
  #nextLook = Number.NEGATIVE_INFINITY;

  add(host: HostId, size: number): void {
    this.#sum += size - (this.#sizes.get(host) ?? 0);
    this.#sizes.set(host, size);
  }

  /** Bytes; the dead of the last moment may be among them. */
  used(mirror: Mirror): number {
    this.isAtLeast(1, mirror);
    return this.#sum;
  }

  isAtLeast(most: number, mirror: Mirror): boolean {
    if (this.#sum < most) return false;
    const begin = performance.now();
    if (begin < this.#nextLook) return true;
    for (const [host, size] of this.#sizes) {
      if (mirror.isAlive('prog', host)) continue;
      this.#sizes.delete(host);
      this.#sum -= size;
    }
    const end = performance.now();
    this.#nextLook = end + LOOKING * (end - begin);
    return this.#sum >= most;
  }
}

export class ProgramMemory {
  readonly #accounts = new WeakMap<Namespace, Account>();
  /** Bytes for a top-level namespace. */
  readonly most: number;

  /** @param most bytes for a top-level namespace. A program of a one-line script takes 4096. */
  constructor(most: number) {
    this.most = most;
  }

  /** Whether the programs of a namespace, and of those that share its limit, use as much as they may. */
  isFull({ top }: Namespace, mirror: Mirror): boolean {
    return this.#accountOf(top).isAtLeast(this.most, mirror);
  }

  /** Bytes that the programs of a top-level namespace, and of all below it, take. */
  used(top: Namespace, mirror: Mirror): number {
    return this.#accountOf(top).used(mirror);
  }

  /** Counts a program that was loaded for a namespace. */
  count({ top }: Namespace, fd: number): void {
    this.#accountOf(top).add(hostId(idOfFd(fd, 'prog')), lockedMemory(fd));
  }

  /** At first with an earlier agent's programs, if there are any. */
  #accountOf(top: Namespace): Account {
    const known = this.#accounts.get(top);
    if (known) return known;
    const account = new Account();
    this.#accounts.set(top, account);
    const count = (namespace: Namespace): void => {
      for (const host of namespace.owned.prog) {
        const size = withObject('prog', host, (fd) => (isOfAgent(fd) ? lockedMemory(fd) : 0)) ?? 0;
        if (size > 0) account.add(host, size);
      }
      namespace.children.forEach(count);
    };
    count(top);
    return account;
  }
}

/** Guests cannot load these types themselves. */
function isOfAgent(fd: number): boolean {
  const info = Buffer.alloc(bpf_prog_info.id);
  return getInfoByFd(fd, info, info.length) >= 0 && isTracingType(info.readUInt32LE(bpf_prog_info.type));
}

/** What fdinfo says of a program of ours: bpf_prog_show_fdinfo() in kernel/bpf/syscall.c. */
function lockedMemory(fd: number): number {
  return Number(/^memlock:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? 0);
}
