/**
 * What the recorder's hooks did not see, by two counts: the kernel's, of program runs that it skipped, and the
 * recorder's, of returns that it knows to be missed.
 */
import { readdirSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { getFdById, getInfoByFd, objGet } from '../sys/bpf.js';
import { Fd } from '../sys/fd.js';
import { bpf_link_info, bpf_link_type, bpf_prog_info } from '../sys/kernel.gen.js';
import { hooksAtCall, hooksAtFork, hooksAtReturn } from './hooks.js';
import type { RecorderStatus } from './records.js';

/** Counted since the recorder was put in place. */
export interface Misses {
  /** At most so many calls of bpf(2): what they created belongs to init. */
  readonly missedCalls: number;
  /** Forks. The child is where its seccomp filter puts it, which may be an ancestor of its namespace. */
  readonly missedForks: number;
}

/** Of the recorder's status. */
type ReturnCounts = Pick<RecorderStatus, 'caughtUp' | 'unseen'>;

interface Attachment {
  readonly hook: string;
  readonly link: Fd;
  readonly program: Fd;
}

/** Watches the pinned hooks. To be closed. */
export class MissCounter {
  readonly #attachments: readonly Attachment[] = readdirSync(paths.links).map((hook) => {
    const link = new Fd(objGet(`${paths.links}/${hook}`)).checked('bpf', `cannot open the pinned link '${hook}'`);
    const id = readInfo(link, bpf_link_info.sizeof).readUInt32LE(bpf_link_info.prog_id);
    return { hook, link, program: new Fd(getFdById('prog', id)) };
  });

  #told: Misses | undefined;

  /**
   * Neither count has all missed returns: the kernel's lacks those that skip fexit, the recorder's those of tasks that
   * do not call again. The higher one is told.
   */
  read({ caughtUp, unseen }: ReturnCounts): Misses {
    const returns = Math.max(this.#missedByAll(hooksAtReturn) - caughtUp, unseen);
    return {
      missedCalls: this.#missedByAll(hooksAtCall) + returns,
      missedForks: this.#missedByAll(hooksAtFork),
    };
  }

  /** Whether {@link news} has any. */
  hasNew(returns: ReturnCounts): boolean {
    const { missedCalls, missedForks } = this.read(returns);
    this.#told ??= { missedCalls, missedForks };
    return missedCalls > this.#told.missedCalls || missedForks > this.#told.missedForks;
  }

  /** Those since the last time; undefined if there are none. The first time tells nothing. */
  news(returns: ReturnCounts): Misses | undefined {
    const now = this.read(returns);
    const before = this.#told ?? now;
    const missedCalls = Math.max(0, now.missedCalls - before.missedCalls);
    const missedForks = now.missedForks - before.missedForks;
    this.#told = now;
    return missedCalls + missedForks > 0 ? { missedCalls, missedForks } : undefined;
  }

  /** At most so many events: each hook is enough on its own. */
  #missedByAll(hooks: readonly string[]): number {
    const attached = this.#attachments.filter(({ hook }) => hooks.includes(hook));
    return attached.length === 0 ? 0 : Math.min(...attached.map(countOf));
  }

  close(): void {
    for (const { link, program } of this.#attachments) {
      link.close();
      program.close();
    }
  }
}

function countOf({ link, program }: Attachment): number {
  const skipped = readInfo(program, bpf_prog_info.sizeof).readBigUInt64LE(bpf_prog_info.recursion_misses);
  const info = readInfo(link, bpf_link_info.sizeof);
  const isKprobe = info.readUInt32LE(bpf_link_info.type) === bpf_link_type.BPF_LINK_TYPE_KPROBE_MULTI;
  return Number(skipped + (isKprobe ? info.readBigUInt64LE(bpf_link_info.kprobe_multi_missed) : 0n));
}

/** What the kernel does not know of stays 0. */
function readInfo(object: Fd, size: number): Buffer {
  const info = Buffer.alloc(size);
  getInfoByFd(object.number, info, size);
  return info;
}
