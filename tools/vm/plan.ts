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

/** Tests of the tables of kernel features, and of what `bpfns doctor` says of them. */
const claims = ['features', 'layouts', 'doctor'];
/** Tests of a single command's namespace, whose recorder runs on function hooks there. */
const separation = ['run'];
/** Tests of objects of each kind, for which the recorder has to load: verifiers differ. */
const objects = ['isolation'];
/** Tests of what bpf(2) has since Linux 7, and of the hooks on a kernel that preempts tasks inside itself. */
const newest = ['common-attributes', 'newest', 'losses'];

/**
 * What CI has time for, with two machines at a time: the oldest kernel, the newest where it differs, Debian 13's, and
 * that of arm64, on which doctor finds that all of `run` works. The tracepoints are what CI's own kernel tests run
 * with; `make test-vm` runs the rest.
 */
export function planOfCi(): Plan[] {
  const machine = (chosen: string, part: string, names: readonly string[]): Plan[] => {
    const tests = names.map((name) => `build/js/test/kernel/${name}.test.js`);
    return planOf(chosen, tests).map((plan) => ({ ...plan, name: `${plan.name}-${part}` }));
  };
  return [
    ...machine('6.1-cloud:function', 'oldest', [...claims, ...separation]),
    ...machine('7.3-cloud:chosen', 'newest', [...claims, ...newest]),
    ...machine('6.12-cloud:function', 'stable', objects),
    ...machine('6.12-arm64:function', 'smoke', claims),
  ];
}
