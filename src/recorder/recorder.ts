/**
 * The user half of the recorder: loads and attaches the eBPF programs (or adopts those that an
 * earlier agent left pinned), and removes them.
 */
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { paths } from '../config/paths.js';
import { INIT } from '../model/ids.js';
import { mapDelete, mapForEach, mapUpdate, runProgram } from '../sys/bpf.js';
import { bpfns_bind, bpfns_charge, bpfns_forget } from '../sys/contract.gen.js';
import { check, SyscallError } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import type { Attached, BpfObject } from '../sys/libbpf.js';
import { mount, umount2 } from '../sys/libc.js';
import { openThreadIterator, runIterator } from '../sys/task-iterator.js';
import { setInitBudget } from './budgets.js';
import { type CarriedOver, carryOver, finishUpgrade } from './carry-over.js';
import { takeHeadStart } from './head-start.js';
import type { Backend } from './hooks.js';
import { adopt, begin, end, type Loaded, type MapName } from './loading.js';
import { MissCounter, type Misses } from './misses.js';
import { counted, counterKey, newCounter, type RecorderStatus, readStatus } from './records.js';
import { inUse, isOfThisVersion, requireKnownState } from './state.js';

const BPF_FS_MAGIC = 0xcafe4a11;
/** How long after an upgrade calls may return that were in progress then; loads of programs are the longest. In ms. */
const LATE = 60_000;
/** How long to look at open files at a time, in ms. Calls wait for that. */
const LOOK = 3;

export class Recorder {
  readonly #object: BpfObject;
  readonly #links: readonly Attached[];
  readonly #misses = new MissCounter();
  readonly backend: Backend;

  /** What an upgrade has carried over when this agent started; undefined if it did not have to. */
  readonly carriedOver: CarriedOver | undefined;
  /** By `performance.now()`. */
  readonly #lateUntil: number;
  /** The link of find_late. */
  #late: Attached | undefined;
  /** A look that is under way. */
  #look: Fd | undefined;
  /** Whether {@link recordLate} has something to look for, or a look to finish. */
  #isLookDue = false;

  private constructor({ object, links, backend }: Loaded, carriedOver?: CarriedOver) {
    this.#object = object;
    this.#links = links;
    this.backend = backend;
    this.carriedOver = carriedOver;
    this.#lateUntil = carriedOver ? performance.now() + LATE : 0;
  }

  /**
   * Mounts the private bpffs, then loads, attaches and pins. What is pinned already is kept, or carried
   * over from another version.
   * @throws SyscallError with the step and libbpf's reason; StateError; RangeError
   */
  static install(): Recorder {
    mkdirSync(paths.bpffs, { recursive: true, mode: 0o700 });
    // An earlier agent may have died between any two of these steps.
    if (statfsSync(paths.bpffs).type !== BPF_FS_MAGIC) {
      check(mount('bpfns', paths.bpffs, 'bpf', 0, 'mode=0700'), 'mount', `cannot mount bpffs at '${paths.bpffs}'`);
    }
    requireKnownState();
    const upgrade = finishUpgrade() ?? (isOfThisVersion() ? undefined : carryOver());
    if (upgrade) {
      const recorder = new Recorder(upgrade.loaded, upgrade.carriedOver);
      recorder.recordLate();
      return recorder;
    }
    return new Recorder(adopt(inUse) ?? begin(inUse, fillNew));
  }

  /**
   * Loads and attaches what {@link install} would, and removes it again. Nothing is pinned.
   * @throws AggregateError with libbpf's reasons, if there is no way
   */
  static rehearse(): Backend {
    const loaded = begin(undefined, () => undefined);
    end(loaded);
    return loaded.backend;
  }

  mapFd(name: MapName): number {
    return this.#object.mapFd(name);
  }

  /**
   * Attaches an iterator over all tasks: `one_task` where the kernel has no pidfds of threads, `mark_members` for
   * containers. The caller closes it.
   */
  attachTaskIterator(program: 'one_task' | 'mark_members'): Attached {
    return this.#object.attach(program);
  }

  /** The map with the request to `one_task`. */
  get requestFd(): number {
    return this.#object.mapFd('one_task_request');
  }

  /** The program by which a thread of the agent says for whom it acts. */
  get actForFd(): number {
    return this.#object.programFd('act_for');
  }

  /** Releases the numbers of a dead object. */
  forget(kind: number, host: number): void {
    const context = Buffer.alloc(bpfns_forget.sizeof);
    context.writeUInt32LE(kind, bpfns_forget.kind);
    context.writeUInt32LE(host, bpfns_forget.host_id);
    runProgram(this.#object.programFd('forget'), context);
  }

  /**
   * Moves every task under the filter of `listener` to namespace `ns`, together with the objects
   * that such tasks created before. 0 undoes it.
   * @returns the number of moved objects, or -errno
   */
  bindFilter(listener: number, ns: number): number {
    const context = Buffer.alloc(bpfns_bind.sizeof);
    context.writeUInt32LE(listener, bpfns_bind.listener);
    context.writeUInt32LE(ns, bpfns_bind.ns);
    const result = runProgram(this.#object.programFd('bind_filter'), context);
    if (result < 0) return result;
    const error = context.readInt32LE(bpfns_bind.error);
    return error < 0 ? error : context.readUInt32LE(bpfns_bind.adopted);
  }

  /** Forgets every filter. The filters of listeners that still exist are bound again. */
  forgetFilters(): void {
    const keys: Buffer[] = [];
    mapForEach(this.mapFd('filters'), 8, 4, (key) => keys.push(Buffer.from(key)));
    for (const key of keys) mapDelete(this.mapFd('filters'), key);
  }

  /** Takes numbers for kernel-owned BTF from a top-level namespace's budget, or gives them back. @returns -ENOSPC */
  charge(top: number, numbers: number): number {
    const context = Buffer.alloc(bpfns_charge.sizeof);
    context.writeUInt32LE(top, bpfns_charge.top);
    context.writeInt32LE(numbers, bpfns_charge.numbers);
    const result = runProgram(this.#object.programFd('charge'), context);
    return result < 0 ? result : context.readInt32LE(bpfns_charge.error);
  }

  /** What it could not do, and what its hooks did not see. */
  status(): RecorderStatus & Misses {
    const status = readStatus(this.mapFd('status'));
    return { ...status, ...this.#misses.read(status) };
  }

  /** What its hooks have missed since the last time; undefined if nothing, or while {@link recordLate} has work left. */
  newMisses(): Misses | undefined {
    return this.#isLookDue ? undefined : this.#misses.news(readStatus(this.mapFd('status')));
  }

  /**
   * If returns of bpf(2) may have been missed, looks for what those calls created and records it. Stops after a few ms,
   * and goes on from there the next time. Hooks miss returns when an fexit program is attached to bpf(2) or detached:
   * calls in progress then skip all fexit programs (bpf_tramp_image_put() in kernel/bpf/trampoline.c). An upgrade does
   * that, and whoever traces bpf(2).
   */
  recordLate(): void {
    this.#isLookDue ||= this.#mayBeLate;
    if (this.#isLookDue) this.#look ??= this.#beginLook();
    if (!this.#look) return;
    const result = runIterator(this.#look, LOOK);
    if (result > 0) return;
    this.#look.close();
    this.#look = undefined;
    this.#isLookDue = result < 0;
  }

  /** The same for one thread, now. @param tid in the agent's pid namespace; not 0 */
  recordLateOf(tid: number): void {
    using iterator = openThreadIterator(this.#object.programFd('find_late'), tid);
    if (iterator.isOpen) runIterator(iterator);
  }

  get #mayBeLate(): boolean {
    const isExpected = this.backend === 'function' || performance.now() < this.#lateUntil;
    return isExpected || this.#misses.hasNew(readStatus(this.mapFd('status')));
  }

  /** Undefined for want of memory or an fd: the next tick tries again. */
  #beginLook(): Fd | undefined {
    try {
      this.#late ??= this.#object.attach('find_late');
      return new Fd(this.#late.iterate());
    } catch (error) {
      if (error instanceof SyscallError) return undefined;
      throw error;
    }
  }

  /** Closes our handles. What is pinned stays. */
  close(): void {
    this.#misses.close();
    this.#look?.close();
    this.#late?.close();
    for (const link of this.#links) link.close();
    this.#object.close();
  }

  /** Detaches everything and removes every trace. */
  remove(): void {
    rmSync(paths.links, { recursive: true, force: true });
    this.close();
    umount2(paths.bpffs, 0);
    rmSync(paths.bpffs, { recursive: true, force: true });
  }
}

/** What a recorder begins with where there was none. */
function fillNew(object: BpfObject): void {
  for (const what of counted) mapUpdate(object.mapFd('counters'), counterKey(INIT, what), newCounter(0));
  takeHeadStart(object);
  setInitBudget(object.mapFd('budgets'));
}
