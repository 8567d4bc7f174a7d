/** The kernels of `make test-vm`: what Debian's archive offers for this release. */

export interface Kernel {
  /** Short, for KERNELS=... and file names. */
  readonly name: string;
  /** Debian's meta-package: it depends on the newest kernel of that flavour. */
  readonly metaPackage: string;
  /** The recorder's backends to run all tests with, one boot each (BPFNS_RECORDER). */
  readonly backends: readonly ('function' | 'tracepoint')[];
}

// The flavours of one version share their source: both backends once a version, on the
// one that boots fastest, and what differs (preemption, compiled-in parts) with the default.
export const kernels: readonly Kernel[] = [
  { name: '6.1-cloud', metaPackage: 'linux-image-cloud-amd64', backends: ['function', 'tracepoint'] },
  { name: '6.1', metaPackage: 'linux-image-amd64', backends: ['function'] },
  { name: '6.1-rt', metaPackage: 'linux-image-rt-amd64', backends: ['function'] },
  { name: '6.12-cloud', metaPackage: 'linux-image-6.12-cloud-amd64', backends: ['function', 'tracepoint'] },
  { name: '6.12', metaPackage: 'linux-image-6.12-amd64', backends: ['function'] },
  { name: '6.12-rt', metaPackage: 'linux-image-6.12-rt-amd64', backends: ['function'] },
];

/** Modules that tests may need: not built in, and nothing in the guest would load them. */
export const modules = ['veth', 'dummy', 'sch_ingress', 'cls_bpf'] as const;
