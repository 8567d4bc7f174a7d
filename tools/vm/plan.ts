/** Plans which machines to start, and what each runs. */
import { type Backend, chosenKernels, type Kernel } from './kernels.js';

export interface Plan {
  readonly kernel: Kernel;
  /** For file names. It is the kernel's name if the kernel has only one machine. */
  readonly name: string;
  readonly backends: readonly Backend[];
  /** Compiled test files. */
  readonly tests: readonly string[];
}

/** One machine for each chosen kernel (see kernels.ts), all with the same tests. */
export function planOf(chosen: string, tests: readonly string[]): Plan[] {
  return chosenKernels(chosen).map((kernel) => ({ kernel, name: kernel.name, backends: kernel.backends, tests }));
}

/** Tests that depend on how creations are noticed, or on what differs between kernels. */
const creations = ['bpftool', 'info', 'recorder', 'rights'];
/** The other tests of a single command's namespace. The one that tries all ids comes first, while there are few. */
const separation = ['isolation', 'pids', 'threads', 'native-parity'];
const others = ['callers', 'doctor', 'fds-and-pins', 'module-btf', 'run'];
/** Tests of what bpf(2) and clone3(2) have since Linux 7. */
const newest = ['common-attributes', 'nesting'];
/** Tests of the tables of kernel features. */
const claims = ['features', 'layouts'];

/**
 * What CI has time for, with two machines at a time: the oldest kernel, then the newest where it
 * differs, and the other architecture. The tracepoints are what CI's own kernel tests run with.
 */
export function planOfCi(): Plan[] {
  const machine = (chosen: string, part: string, names: readonly string[]): Plan[] => {
    const tests = names.map((name) => `build/js/test/kernel/${name}.test.js`);
    return planOf(chosen, tests).map((plan) => ({ ...plan, name: `${plan.name}-${part}` }));
  };
  return [
    ...machine('6.1-cloud:function', 'others', [...others, ...claims]),
    ...machine('6.1-cloud:function', 'creations', [...separation, ...creations]),
    ...machine('7.3-cloud:chosen', 'newest', [...creations, ...claims, ...newest]),
    ...machine('6.12-arm64:function', 'smoke', ['doctor', 'recorder', ...claims]),
  ];
}
