/** The kernels of `make test-vm`: what Debian's archive offers, and which of its suites has it. */
import type { Source } from './archive.js';

const backends = ['function', 'tracepoint', 'chosen'] as const;
/** A value of BPFNS_RECORDER, or what the recorder chooses without it. */
export type Backend = (typeof backends)[number];
const both = ['function', 'tracepoint'] as const;

export interface Kernel extends Source {
  /** Short, for KERNELS=... and file names. */
  readonly name: string;
  /** Debian's meta-package: it depends on the newest kernel of that flavour in the suite. */
  readonly metaPackage: string;
  /** All tests run with each of these, one after the other. */
  readonly backends: readonly Backend[];
}

const bookworm = { suite: 'bookworm', architecture: 'amd64' } as const;
const trixie = { suite: 'trixie', architecture: 'amd64' } as const;
const sid = { suite: 'sid', architecture: 'amd64' } as const;
const backports = { suite: 'trixie-backports', architecture: 'amd64' } as const;

// The flavours of one version share their source: both backends once a version, on the
// one that boots fastest, and what differs (preemption, compiled-in parts) with what bpfns chooses there.
// A name says what its suite has now; the title of its results says the release.
export const kernels: readonly Kernel[] = [
  { ...bookworm, name: '6.1-cloud', metaPackage: 'linux-image-cloud-amd64', backends: both },
  { ...bookworm, name: '6.1', metaPackage: 'linux-image-amd64', backends: ['function'] },
  { ...bookworm, name: '6.1-rt', metaPackage: 'linux-image-rt-amd64', backends: ['chosen'] },
  { ...trixie, name: '6.12-cloud', metaPackage: 'linux-image-cloud-amd64', backends: both },
  { ...trixie, name: '6.12', metaPackage: 'linux-image-amd64', backends: ['function'] },
  { ...trixie, name: '6.12-rt', metaPackage: 'linux-image-rt-amd64', backends: ['chosen'] },
  { ...sid, name: '7.2-cloud', metaPackage: 'linux-image-cloud-amd64', backends: ['chosen'] },
  { ...backports, name: '7.3-cloud', metaPackage: 'linux-image-cloud-amd64', backends: ['chosen', ...both] },
  { ...backports, name: '7.3', metaPackage: 'linux-image-amd64', backends: ['chosen'] },
  { ...backports, name: '7.3-rt', metaPackage: 'linux-image-rt-amd64', backends: ['chosen'] },
  { ...trixie, architecture: 'arm64', name: '6.12-arm64', metaPackage: 'linux-image-cloud-arm64', backends: both },
  { ...backports, architecture: 'arm64', name: '7.3-arm64', metaPackage: 'linux-image-cloud-arm64', backends: both },
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

/** Modules that tests may need, and that nothing in the guest would load. */
export const modules = ['veth', 'dummy', 'sch_ingress', 'cls_bpf', 'overlay', 'fuse'] as const;
