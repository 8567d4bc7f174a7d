/** The kernels of `make test-vm`: what Debian's archive offers for this release. */

export const backends = ['function', 'tracepoint'] as const;
/** Of the recorder: a value of BPFNS_RECORDER. */
export type Backend = (typeof backends)[number];

export interface Kernel {
  /** Short, for KERNELS=... and file names. */
  readonly name: string;
  /** Debian's meta-package: it depends on the newest kernel of that flavour. */
  readonly metaPackage: string;
  /** All tests run with each, one after the other. */
  readonly backends: readonly Backend[];
}

// The flavours of one version share their source: both backends once a version, on the
// one that boots fastest, and what differs (preemption, compiled-in parts) with what bpfns chooses there.
export const kernels: readonly Kernel[] = [
  { name: '6.1-cloud', metaPackage: 'linux-image-cloud-amd64', backends },
  { name: '6.1', metaPackage: 'linux-image-amd64', backends: ['function'] },
  { name: '6.1-rt', metaPackage: 'linux-image-rt-amd64', backends: ['tracepoint'] },
  { name: '6.12-cloud', metaPackage: 'linux-image-6.12-cloud-amd64', backends },
  { name: '6.12', metaPackage: 'linux-image-6.12-amd64', backends: ['function'] },
  { name: '6.12-rt', metaPackage: 'linux-image-6.12-rt-amd64', backends: ['tracepoint'] },
];

/**
 * The kernels that KERNELS asks for: names, each with ":BACKEND" where only one backend is wanted; all if it is empty.
 * @throws Error naming what there is not
 */
export function chosenKernels(wanted: string): readonly Kernel[] {
  const entries = wanted.split(/[ ,]+/).filter((entry) => entry !== '');
  if (entries.length === 0) return kernels;
  return entries.map((entry) => {
    const [name, only] = entry.split(':');
    const kernel = kernels.find((each) => each.name === name);
    const chosen = backends.filter((backend) =>
      only === undefined ? kernel?.backends.includes(backend) : backend === only,
    );
    if (!kernel || chosen.length === 0)
      throw new Error(`KERNELS: no ${entry} (${kernels.map((each) => each.name).join(' ')})`);
    return { ...kernel, backends: chosen };
  });
}

/** Modules that tests may need: not built in, and nothing in the guest would load them. */
export const modules = ['veth', 'dummy', 'sch_ingress', 'cls_bpf'] as const;
