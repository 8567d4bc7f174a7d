/**
 * The hooks of the recorder: what there is for each event, and which are tried first on this kernel. What each
 * needs, costs and misses is in docs/decisions/0017-hooks.md.
 */
import { architecture } from '../sys/architecture.js';
import { kprobesKeepUp } from '../sys/kprobes.js';
import type { Attached, BpfObject } from '../sys/libbpf.js';
import { close } from '../sys/libc.js';
import { lsmOfBpf } from '../sys/lsm.js';
import { isPreemptible } from '../sys/preemption.js';
import { openTracepoint } from '../sys/tracepoint.js';

type Attach = (object: BpfObject, program: string) => Attached;

const asDeclared: Attach = (object, program) => object.attach(program);
const toFunction =
  (when: 'entry' | 'return'): Attach =>
  (object, program) =>
    object.attachKprobe(program, architecture.bpfFunction, when);
const toTracepoint =
  (system: string, name: string): Attach =>
  (object, program) => {
    const event = openTracepoint(system, name);
    try {
      return object.attachPerfEvent(program, event);
    } catch (error) {
      close(event);
      throw error;
    }
  };

/** How each program is attached. */
export const hooks = {
  bpf_called: asDeclared,
  function_called: asDeclared,
  function_enter: asDeclared,
  function_exit: asDeclared,
  kprobe_enter: toFunction('entry'),
  kprobe_exit: toFunction('return'),
  tracepoint_enter: toTracepoint('syscalls', 'sys_enter_bpf'),
  tracepoint_exit: toTracepoint('syscalls', 'sys_exit_bpf'),
  task_forked: asDeclared,
  task_forked_event: toTracepoint('sched', 'sched_process_fork'),
  task_allocated: asDeclared,
} as const satisfies Readonly<Record<string, Attach>>;
export type Hook = keyof typeof hooks;
export const hookNames = Object.keys(hooks) as Hook[];

/** How calls of bpf(2) are noticed. BPFNS_RECORDER names one. */
export const backends = ['lsm', 'kprobe', 'function', 'tracepoint'] as const;
export type Backend = (typeof backends)[number];

/** The hooks of a backend. Of those at the call, and of those at its return, any one that runs is enough. */
export const callHooks = {
  lsm: ['bpf_called', 'kprobe_exit', 'function_exit'],
  function: ['function_called', 'function_exit'],
  kprobe: ['kprobe_enter', 'function_enter', 'kprobe_exit', 'function_exit'],
  tracepoint: ['tracepoint_enter', 'tracepoint_exit'],
} as const satisfies Readonly<Record<Backend, readonly Hook[]>>;

/** The fentry and fexit programs: their target is set before they are loaded. */
export const functionHooks: readonly Hook[] = ['function_called', 'function_enter', 'function_exit'];
export const hooksAtCall: readonly Hook[] = [
  'bpf_called',
  'function_called',
  'function_enter',
  'kprobe_enter',
  'tracepoint_enter',
];
export const hooksAtReturn: readonly Hook[] = ['function_exit', 'kprobe_exit', 'tracepoint_exit'];
export const hooksAtFork = ['task_forked', 'task_forked_event', 'task_allocated'] as const satisfies readonly Hook[];
export type ForkHooks = ReadonlyArray<(typeof hooksAtFork)[number]>;

/**
 * The backends to try, best first. BPFNS_RECORDER forces one. Where tasks are preempted inside the kernel,
 * any hook but an LSM's misses calls.
 */
export function backendsToTry(): readonly Backend[] {
  const forced = backends.find((each) => each === process.env.BPFNS_RECORDER);
  if (forced) return [forced];
  if (!isPreemptible()) return ['function', 'tracepoint'];
  const doubled: readonly Backend[] = lsmOfBpf() === 'on' ? ['lsm', 'kprobe'] : ['kprobe'];
  return [...(kprobesKeepUp() ? doubled : []), 'tracepoint', 'function'];
}

/** Whether the kernel may skip them, so that creations and forks go unnoticed. */
export function mayMiss(backend: Backend): boolean {
  return backend !== 'lsm' && isPreemptible();
}

/** The sets of fork hooks to try, best first. Only an LSM's hook misses nothing on every kernel. */
export function forkHooksToTry(): readonly ForkHooks[] {
  const traced: ForkHooks = ['task_forked'];
  if (!isPreemptible()) return [traced];
  const both: ForkHooks = ['task_forked', 'task_forked_event'];
  return lsmOfBpf() === 'on' ? [['task_allocated'], both, traced] : [both, traced];
}
