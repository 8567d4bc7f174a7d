/** Probes of seccomp user notification. */
import { Worker } from 'node:worker_threads';
import { E, errnoName } from '../sys/errno.js';
import { hasWaitKillable } from '../sys/seccomp.js';
import { type Answer, fromVerdict, no, unknown, yes } from './answer.js';
import { LISTENER_SLOT, type ListenerAnswers } from './listener-slots.js';

const TIMEOUT_MS = 10_000;
let known: Int32Array | undefined;

/** Runs the probing thread and waits for it, once per process. */
function answers(): Int32Array {
  if (known) return known;
  const shared: ListenerAnswers = { buffer: new SharedArrayBuffer(LISTENER_SLOT.count * 4) };
  known = new Int32Array(shared.buffer);
  known[LISTENER_SLOT.install] = -E.ETIMEDOUT;
  new Worker(new URL('./listener-worker.js', import.meta.url), { workerData: shared }).unref();
  Atomics.wait(known, LISTENER_SLOT.done, 0, TIMEOUT_MS);
  return known;
}

function withListener(judge: (answers: Int32Array) => Answer): Answer {
  const all = answers();
  const installed = all[LISTENER_SLOT.install] ?? 0;
  if (installed === -E.EBUSY) return unknown('another agent traps calls of this process already');
  if (installed === -E.EINVAL || installed === -E.ENOSYS) return no('no listener to be had');
  if (installed < 0) return unknown(`no listener: ${errnoName(-installed)}`);
  return judge(all);
}

export function probeListener(): Answer {
  return withListener(() => yes);
}

export function probeAddFd(): Answer {
  return withListener((all) => fromVerdict(all[LISTENER_SLOT.addFd] ?? 0));
}

export function probeSyncWakeUp(): Answer {
  return withListener((all) => {
    const result = all[LISTENER_SLOT.syncWakeUp] ?? 0;
    if (result === 0) return yes;
    // A listener answers an unknown ioctl with EINVAL.
    return result === -E.EINVAL ? no() : unknown(errnoName(-result));
  });
}

export function probeWaitKillable(): Answer {
  return fromVerdict(hasWaitKillable());
}
