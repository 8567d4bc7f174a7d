/**
 * How many perf events of guests are open, by top-level namespace with all below it: the agent opens
 * them, so the kernel's own limits on processes without privileges do not count.
 */
import type { Namespace } from '../../../model/namespaces.js';
import { OpenFiles } from '../../../sys/open-files.js';

/** What an event uses besides memory. `cpu` is that of a timer; each event on a tracepoint takes one program. */
export type Use =
  | { readonly of: 'memory' }
  | { readonly of: 'tracepoint'; readonly id: number }
  | { readonly of: 'timer'; readonly cpu: number; readonly hz: number };

/** The kernel runs 64 programs on a tracepoint, for the whole machine (BPF_TRACE_MAX_PROGS). */
const MOST_ON_TRACEPOINT = 8;
/** Of all timers of a CPU together. */
const MOST_HZ = 20_000;
/** A guest of a container may make each of them faster, up to kernel.perf_event_max_sample_rate. */
const MOST_TIMERS = 8;

/** The open events of a top-level namespace. */
interface Opened {
  readonly files: OpenFiles;
  /** Those of the last look, and all since: some may be closed by now. */
  notes: bigint[];
}

const kinds: readonly Use['of'][] = ['memory', 'tracepoint', 'timer'];

export class EventBudget {
  readonly #most: number;
  readonly #open = new Map<Namespace, Opened>();

  /** @param most events of a top-level namespace */
  constructor(most: number) {
    this.#most = most;
  }

  /** Why a namespace may not have one more, if it may not. */
  refusal({ top }: Namespace, use: Use): string | undefined {
    const opened = this.#open.get(top);
    if (!opened || this.#judge(opened.notes, use) === undefined) return undefined;
    opened.notes = opened.files.notes();
    return this.#judge(opened.notes, use);
  }

  #judge(notes: readonly bigint[], use: Use): string | undefined {
    if (notes.length >= this.#most) return `more than ${this.#most} events at a time`;
    if (use.of === 'memory') return undefined;
    const same = notes.map(decode).filter(({ of, key }) => of === use.of && key === keyOf(use));
    if (use.of === 'tracepoint') {
      return same.length < MOST_ON_TRACEPOINT ? undefined : `more than ${MOST_ON_TRACEPOINT} events on a tracepoint`;
    }
    const hz = same.reduce((sum, { amount }) => sum + amount, use.hz);
    if (same.length >= MOST_TIMERS) return `more than ${MOST_TIMERS} timers on a CPU`;
    return hz > MOST_HZ ? `timers of more than ${MOST_HZ} Hz together` : undefined;
  }

  /** Counts an event until it is closed everywhere. */
  count({ top }: Namespace, use: Use, fd: number): void {
    this.#forgetEnded(top);
    const opened = this.#open.get(top) ?? { files: new OpenFiles(), notes: [] };
    this.#open.set(top, opened);
    const note = encode(use);
    if (opened.files.add(fd, note) >= 0) opened.notes.push(note);
  }

  close(): void {
    for (const { files } of this.#open.values()) files[Symbol.dispose]();
    this.#open.clear();
  }

  #forgetEnded({ parent: init }: Namespace): void {
    for (const [top, { files }] of this.#open) {
      if (init?.children.has(top)) continue;
      files[Symbol.dispose]();
      this.#open.delete(top);
    }
  }
}

const keyOf = (use: Use): number => (use.of === 'tracepoint' ? use.id : use.of === 'timer' ? use.cpu : 0);

const encode = (use: Use): bigint =>
  (BigInt(kinds.indexOf(use.of)) << 56n) |
  (BigInt(keyOf(use) & 0xffffff) << 32n) |
  BigInt(use.of === 'timer' ? use.hz : 0);

const decode = (note: bigint): { of: Use['of'] | undefined; key: number; amount: number } => ({
  of: kinds[Number(note >> 56n)],
  key: Number((note >> 32n) & 0xffffffn),
  amount: Number(note & 0xffffffffn),
});
