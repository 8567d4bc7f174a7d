/**
 * Probes that need a seccomp listener. A filter cannot be removed, so they run in a thread of their
 * own: the filter ends with the thread.
 */
import { workerData } from 'node:worker_threads';
import { close, prctl } from '../sys/libc.js';
import { hasAddFd, installIdleListener, setSyncWakeUp } from '../sys/seccomp.js';
import { LISTENER_SLOT, type ListenerAnswers } from './listener-slots.js';

const PR_SET_NO_NEW_PRIVS = 38;
const answers = new Int32Array((workerData as ListenerAnswers).buffer);

prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); // this thread only
const listener = installIdleListener();
answers[LISTENER_SLOT.install] = listener < 0 ? listener : 1;
if (listener >= 0) {
  answers[LISTENER_SLOT.addFd] = hasAddFd(listener);
  answers[LISTENER_SLOT.syncWakeUp] = setSyncWakeUp(listener);
  close(listener);
}
Atomics.store(answers, LISTENER_SLOT.done, 1);
Atomics.notify(answers, LISTENER_SLOT.done);
