/** Which machines there are to be, and what each runs. */
import { type Backend, chosenKernels, type Kernel } from './kernels.js';

export interface Plan {
  readonly kernel: Kernel;
  /** For file names; the kernel's own where it has one machine. */
  readonly name: string;
  readonly backends: readonly Backend[];
  /** Compiled test files. */
  readonly tests: readonly string[];
}

/** Every kernel that is chosen (see kernels.ts) with the same tests, one machine each. */
export function planOf(chosen: string, tests: readonly string[]): Plan[] {
  return chosenKernels(chosen).map((kernel) => ({ kernel, name: kernel.name, backends: kernel.backends, tests }));
}

/** What hangs on how a creation is noticed, or that newer kernels do another way. */
const creations = ['bpftool', 'info', 'recorder', 'rights'];
/** What a namespace of one command must do besides. The one that tries all ids first, while they are few. */
const separation = ['isolation', 'pids', 'threads', 'native-parity'];
const others = ['callers', 'doctor', 'fds-and-pins', 'run'];
/** Whether what is claimed of kernels holds here. */
const claims = ['features', 'layouts'];

/** What CI has the time for, with two machines at a time, the longest first: on the oldest kernel, then what differs from there. */
export function planOfCi(): Plan[] {
  const machine = (chosen: string, part: string, names: readonly string[]): Plan[] => {
    const tests = names.map((name) => `build/js/test/kernel/${name}.test.js`);
    return planOf(chosen, tests).map((plan) => ({ ...plan, name: `${plan.name}-${part}` }));
  };
  return [
    ...machine('6.1-cloud:function', 'others', [...others, ...claims]),
    ...machine('6.1-cloud:function', 'creations', [...separation, ...creations]),
    ...machine('6.12-cloud:function', 'newer', [...creations, ...claims]),
    ...machine('6.1-cloud:tracepoint', 'tracepoint', creations),
  ];
}
