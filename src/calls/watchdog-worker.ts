/** The thread of watchdog.ts. It counts its own ticks, so that a machine that was paused is not taken for a loop that hangs. */
import { readFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { PULSE } from './watchdog.js';

const TICK_MS = 250;
/** Ticks of one and the same call, asleep, before its caller is killed; and then the agent. */
const KILL_CALLER = 8;
const KILL_AGENT = 16;

const { pulse, agent } = workerData as { readonly pulse: Int32Array; readonly agent: number };
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
  if (ticks === KILL_CALLER) kill(pulse[PULSE.tid] ?? 0);
  if (ticks === KILL_AGENT) kill(agent);
}, TICK_MS);

/** Whether the loop's thread, the process's first, waits for something: a busy one is only slow. */
function isAsleep(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/self/task/${pid}/stat`, 'latin1');
    return /^[SD]$/.test(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** The thread's whole process. */
function kill(tid: number): void {
  try {
    if (tid > 0) process.kill(tid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
