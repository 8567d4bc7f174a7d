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
const pulse = new Int32Array(memory, 0, 2);
const shared = Buffer.from(memory, PULSE.notification);
let seen = 0;
let ticks = 0;

setInterval(() => {
  const count = Atomics.load(pulse, PULSE.count);
  const isAnswering = count % 2 !== 0;
  if (!isAnswering || count !== seen || !isAsleep(agent)) {
    seen = count;
    ticks = 0;
    return;
  }
  ticks++;
  if (ticks === KILL_CALLER) killCallerOf(count);
  if (ticks === KILL_AGENT) process.kill(agent, 'SIGKILL');
}, TICK_MS);

/** Does nothing if the loop has started another call in the meantime. */
function killCallerOf(count: number): void {
  const call = new Notification(Buffer.from(shared));
  const listener = pulse[PULSE.listener] ?? -1;
  if (Atomics.load(pulse, PULSE.count) === count) killCaller(call, listener);
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
