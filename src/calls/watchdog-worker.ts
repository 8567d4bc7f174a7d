/**
 * The thread of watchdog.ts. It counts its own ticks, so that a paused machine does not look like a
 * loop that hangs.
 */
import { readFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { Notification } from '../sys/seccomp.js';
import { killCaller } from './caller.js';
import { PULSE } from './watchdog.js';

const TICK_MS = 250;
/** How many ticks the loop may sleep in one call before the caller is killed, and then the agent. */
const KILL_CALLER = 8;
const KILL_AGENT = 16;

const { memory, agent } = workerData as { readonly memory: SharedArrayBuffer; readonly agent: number };
const pulse = new Int32Array(memory, 0, PULSE.cells);
const shared = Buffer.from(memory, PULSE.notification);

for (let seen = 0, ticks = 0; ; ) {
  const count = Atomics.load(pulse, PULSE.count);
  const isAnswering = count % 2 !== 0;
  if (count === seen && !isAnswering) {
    // Nothing has happened for a tick: the next call wakes this thread.
    Atomics.store(pulse, PULSE.isWaiting, 1);
    Atomics.wait(pulse, PULSE.count, count);
    Atomics.store(pulse, PULSE.isWaiting, 0);
    continue;
  }
  ticks = isAnswering && count === seen && isAsleep(agent) ? ticks + 1 : 0;
  seen = count;
  if (ticks === KILL_CALLER) killCallerOf(count);
  if (ticks === KILL_AGENT) process.kill(agent, 'SIGKILL');
  pause(TICK_MS);
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Does nothing if the loop has started another call in the meantime. */
function killCallerOf(count: number): void {
  const call = new Notification(Buffer.from(shared));
  const listener = pulse[PULSE.listener] ?? -1;
  try {
    if (Atomics.load(pulse, PULSE.count) === count) killCaller(call, listener);
  } catch {
    // No descriptor is left: the agent's turn comes.
  }
}

/** Whether the loop's thread, the first of the process, sleeps. A busy thread is only slow. */
function isAsleep(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/self/task/${pid}/stat`, 'latin1');
    return /^[SD]$/.test(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
