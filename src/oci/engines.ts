/** Which container engines are installed, and whether they can hand their containers to bpfns. Pure. */

interface EngineFacts {
  readonly name: string;
  /** The command that prints the version. */
  readonly command: readonly [program: string, ...args: string[]];
  /** Finds the version in that output; its first group is the version. */
  readonly version: RegExp;
  /** The first version that knows `listenerPath` in a profile. */
  readonly since: string;
  /** How to make the engine use a profile. FILE is the one that `bpfns profile` wrote. */
  readonly use: string;
  /** What to do where the version is too old. */
  readonly otherwise: string;
  readonly watch?: string;
  /** What else to know of versions before this one. */
  readonly before?: readonly [version: string, watch: string];
}

const FIRST_NUMBER = /(\d+\.\d+(?:\.\d+)?)/;

const facts: readonly EngineFacts[] = [
  {
    name: 'runc',
    command: ['runc', '--version'],
    version: /^runc version (\S+)/,
    since: '1.1.0',
    use: 'FILE as "linux.seccomp" of config.json',
    otherwise: 'update runc',
    watch: '--wait-killable needs runc 1.5 with libseccomp 2.6',
  },
  {
    name: 'crun',
    command: ['crun', '--version'],
    version: /^crun version (\S+)/,
    since: '0.19',
    use: 'FILE as "linux.seccomp" of config.json',
    otherwise: 'crun 0.15 and later take the annotation run.oci.seccomp.receiver=SOCKET instead of listenerPath',
    watch: 'refuses the hybrid cgroup layout',
  },
  {
    name: 'podman',
    command: ['podman', '--version'],
    version: /version (\S+)/,
    since: '4.1.0',
    use: 'podman run --security-opt seccomp=FILE --cap-add=bpf,perfmon',
    otherwise: 'with crun: podman run --annotation run.oci.seccomp.receiver=SOCKET and a profile without listenerPath',
    watch: '--privileged without a profile of its own has no seccomp filter, and so no namespace',
  },
  {
    name: 'containerd',
    command: ['containerd', '--version'],
    version: /containerd\S* v?(\d\S*)/,
    since: '1.6.0',
    use: 'Kubernetes: FILE below /var/lib/kubelet/seccomp and a Localhost profile; ctr run --seccomp --seccomp-profile FILE',
    otherwise: 'update containerd',
    watch: 'privileged containers of Kubernetes have no seccomp filter, and so no namespace',
  },
  {
    name: 'docker',
    command: ['dockerd', '--version'],
    version: /version (\S+?),/,
    since: '23.0',
    use: 'docker run --security-opt seccomp=FILE --cap-add BPF --cap-add PERFMON, or "seccomp-profile" in daemon.json for all',
    otherwise: 'update Docker: it silently drops listenerPath from profiles',
    before: [
      '28.0',
      '--privileged containers have no seccomp filter, whatever profile they are given, and so no namespace',
    ],
  },
  {
    name: 'cri-o',
    command: ['crio', '--version'],
    version: /^(?:crio version |Version:\s+)(\S+)/m,
    since: '1.25.0',
    use: 'Kubernetes: FILE below /var/lib/kubelet/seccomp and a Localhost profile',
    otherwise: 'update CRI-O',
    watch:
      'its own notifier (annotation seccompNotifierAction) overwrites listenerPath: a pod can have one or the other',
  },
];

/** An installed engine. */
export interface EngineReport {
  readonly name: string;
  readonly version: string;
  readonly canServe: boolean;
  readonly since: string;
  /** What to do, one sentence per entry. */
  readonly advice: readonly string[];
}

/** Runs a command. @returns its output, or undefined if the program does not exist */
export type Probe = (program: string, args: readonly string[]) => string | undefined;

/** A report on each engine that is installed. */
export function detectEngines(probe: Probe): EngineReport[] {
  return facts.flatMap((engine) => {
    const [program, ...args] = engine.command;
    const text = probe(program, args);
    return text === undefined ? [] : [report(engine, text)];
  });
}

function report({ name, version, since, use, otherwise, watch, before }: EngineFacts, text: string): EngineReport {
  const found = version.exec(text)?.[1] ?? FIRST_NUMBER.exec(text)?.[1];
  if (found === undefined) {
    return { name, version: 'unknown', canServe: false, since, advice: [`needs ${since} or later`, otherwise] };
  }
  const canServe = isAtLeast(found, since);
  const warnings = [watch, before && !isAtLeast(found, before[0]) ? before[1] : undefined];
  const advice = canServe ? [use, ...warnings.filter((warning) => warning !== undefined)] : [otherwise];
  return { name, version: found, canServe, since, advice };
}

/** Compares the leading numbers only, as distributions append suffixes of their own. */
function isAtLeast(version: string, wanted: string): boolean {
  const have = numbers(version);
  for (const [i, part] of numbers(wanted).entries()) {
    const mine = have[i] ?? 0;
    if (mine !== part) return mine > part;
  }
  return true;
}

function numbers(version: string): number[] {
  return (/^v?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? '').split('.').map(Number);
}
