/**
 * Makes a seccomp profile for OCI runtimes that passes bpf(2)'s id commands to the agent. It is
 * based on the profile that the engine uses without bpfns. Pure.
 */
import {
  type BaseProfile,
  type ConditionalRule,
  type Conditions,
  type Profile,
  ProfileError,
  type Rule,
} from './profile-format.js';

export interface ProfileOptions {
  /** The agent's socket on the host. */
  readonly listenerPath: string;
  /** The agent gets this with every listener; '' for nothing. */
  readonly metadata: string;
  /** The container's capabilities, by full name: CAP_BPF. They decide which conditions of the base are met. */
  readonly capabilities: readonly string[];
  /** Go's name. */
  readonly architecture: string;
  /** The kernel's version, for conditions on it. */
  readonly kernel: readonly [major: number, minor: number];
  /** The commands of bpf(2) that go to the agent, and all others that the kernel may run. */
  readonly trapped: readonly number[];
  readonly native: readonly number[];
  /** Whether to trap perf_event_open(2) too: the agent decides what is traced. */
  readonly perf: boolean;
  /** Whether to trap clone3() too, so that programs in the container can create namespaces. */
  readonly nesting: boolean;
  /** Whether only fatal signals interrupt a call that the agent has received. */
  readonly waitKillable: boolean;
}

export interface MadeProfile {
  readonly profile: Profile;
  /** The differences from the base, one line each. */
  readonly changes: readonly string[];
}

const ALLOW = 'SCMP_ACT_ALLOW';
const NOTIFY = 'SCMP_ACT_NOTIFY';
const MASKED_EQ = 'SCMP_CMP_MASKED_EQ';
const PERF = 'perf_event_open';
const PERFMON = 'CAP_PERFMON';
const WAIT_KILLABLE = 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV';
/** Newer kernels OR a flag into the upper half of the command. */
const COMMAND_MASK = 0xffff;

/**
 * A test that is true for every 32-bit system call, and for no other. Where arguments have 32 bits,
 * libseccomp drops the upper half of mask and value, which leaves "x & 0 == 0". Where they have 64
 * bits, no caller has this value in the upper half of bpf(2)'s command, and the kernel ignores it.
 * It is below 2^53, so that every JSON parser reads the same number.
 */
const UPPER_HALF = 0x1fffff_0000_0000;
const NEVER_THERE = 0x10b9f5_0000_0000;

const ABIS_32_BIT = new Set([
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_S390',
]);

/** Go's names of architectures, and the names in profiles. */
const NATIVE: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
  s390x: 'SCMP_ARCH_S390X',
  ppc64le: 'SCMP_ARCH_PPC64LE',
  riscv64: 'SCMP_ARCH_RISCV64',
};

/**
 * Actions that let a call through. NOTIFY is here for a base that is a profile made by us: of
 * another agent it is refused before.
 */
const LETS_THROUGH = new Set([ALLOW, 'SCMP_ACT_LOG', NOTIFY]);

/**
 * Makes the profile.
 * @throws ProfileError if the base already names another agent, or with nesting, if it refuses some clone3()
 */
export function makeProfile(base: BaseProfile, options: ProfileOptions): MadeProfile {
  const ours = new Set([
    'bpf',
    ...(options.nesting ? ['clone3'] : []),
    ...(options.perf || addsPerf(base, options) ? [PERF] : []),
  ]);
  refuseOtherAgent(base, ours, options.listenerPath);
  const held = base.syscalls.filter((rule) => holds(rule, options));
  if (options.nesting) refuseHalfOfClone3(base, held);
  const kept = held.map((rule) => without(rule, ours)).filter(({ names }) => names.length > 0);
  const architectures = architecturesOf(base, options.architecture);
  const flags = [...(base.flags ?? []), ...(options.waitKillable ? [WAIT_KILLABLE] : [])];
  const profile: Profile = {
    defaultAction: base.defaultAction,
    ...(base.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: base.defaultErrnoRet }),
    architectures,
    ...(flags.length === 0 ? {} : { flags: [...new Set(flags)] }),
    listenerPath: options.listenerPath,
    ...(options.metadata === '' ? {} : { listenerMetadata: options.metadata }),
    syscalls: [...kept, ...ourRules(base, architectures, options)],
  };
  return { profile, changes: changesOf(base, held, architectures, options) };
}

/**
 * perf_event_open(2) attaches programs to tracepoints and probes. Profiles older than CAP_PERFMON
 * allow it only with CAP_SYS_ADMIN; newer ones have a rule of their own.
 */
function addsPerf(base: BaseProfile, { capabilities, perf }: ProfileOptions): boolean {
  const knows = base.syscalls.some(({ includes }) => includes.caps.includes(PERFMON));
  const isConditional = base.syscalls.some(({ includes, names }) => names.includes(PERF) && includes.caps.length > 0);
  return !perf && capabilities.includes(PERFMON) && isConditional && !knows;
}

function ourRules(base: BaseProfile, architectures: readonly string[], options: ProfileOptions): Rule[] {
  const rules = options.trapped.map((command) => onCommand(NOTIFY, command));
  // The agent refuses them with ENOSYS. A rule with SCMP_ACT_ERRNO does not work: runtimes drop a
  // rule that equals the default, and the default of podman's profile is ENOSYS.
  if (architectures.some((abi) => ABIS_32_BIT.has(abi))) rules.push(onArgument(NOTIFY, UPPER_HALF, NEVER_THERE));
  if (base.defaultAction !== ALLOW) {
    rules.push(...options.native.map((command) => onCommand(ALLOW, command)));
    if (addsPerf(base, options)) rules.push({ names: [PERF], action: ALLOW });
  }
  if (options.perf) rules.push({ names: [PERF], action: NOTIFY });
  if (options.nesting) rules.push({ names: ['clone3'], action: NOTIFY });
  return rules;
}

function onCommand(action: string, command: number): Rule {
  return onArgument(action, COMMAND_MASK, command);
}

function onArgument(action: string, mask: number, value: number): Rule {
  return { names: ['bpf'], action, args: [{ index: 0, value: mask, valueTwo: value, op: MASKED_EQ }] };
}

/** A filter can have only one listener, and so only one agent. */
function refuseOtherAgent(base: BaseProfile, ours: ReadonlySet<string>, listenerPath: string): void {
  if (base.listenerPath !== undefined && base.listenerPath !== listenerPath) {
    throw new ProfileError(`the base already has an agent at ${base.listenerPath}, and a filter can have only one`);
  }
  const theirs = base.syscalls
    .filter(({ action }) => action === NOTIFY)
    .flatMap(({ names }) => names.filter((name) => !ours.has(name)));
  if (theirs.length > 0) {
    throw new ProfileError(`the base hands ${theirs.join(', ')} to an agent, and a filter can have only one`);
  }
  if (base.defaultAction === NOTIFY) throw new ProfileError('the base hands every system call to an agent');
}

/**
 * The agent lets the kernel go on with a clone3() whose flags lie in memory, where another thread
 * can exchange them: with any flags, then. moby's and containerd's profiles answer ENOSYS, so that
 * programs use clone(2), whose flags they do filter.
 */
function refuseHalfOfClone3(base: BaseProfile, held: readonly Rule[]): void {
  const rules = held.filter(({ names }) => names.includes('clone3'));
  const isFree =
    rules.length === 0
      ? LETS_THROUGH.has(base.defaultAction)
      : rules.every(({ action, args }) => LETS_THROUGH.has(action) && args === undefined);
  if (isFree) return;
  const actions = rules.map(({ action, args }) => (args === undefined ? action : `${action} for some arguments`));
  throw new ProfileError(
    `--nesting would undo what the base makes of clone3 (${actions.join(', ') || `the default, ${base.defaultAction}`}): ` +
      'its flags are in memory, so that neither a filter nor the agent can let some through and refuse others. ' +
      "Leave --nesting out: 'bpfns run' in the container and bpfns.h make namespaces without clone3",
  );
}

function holds({ includes, excludes }: ConditionalRule, options: ProfileOptions): boolean {
  const has = (cap: string): boolean => options.capabilities.includes(cap);
  const isHere = (arch: string): boolean => arch === options.architecture;
  return (
    includes.caps.every(has) &&
    (includes.arches.length === 0 || includes.arches.some(isHere)) &&
    (includes.minKernel === undefined || isSince(includes.minKernel, options.kernel)) &&
    !excludes.caps.some(has) &&
    !excludes.arches.some(isHere) &&
    (excludes.minKernel === undefined || !isSince(excludes.minKernel, options.kernel))
  );
}

function isSince(version: Conditions['minKernel'], [major, minor]: ProfileOptions['kernel']): boolean {
  const [wantedMajor = 0, wantedMinor = 0] = (version ?? '').split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** The rule without its conditions, which are met, for its other system calls. */
function without({ names, action, errnoRet, args }: Rule, ours: ReadonlySet<string>): Rule {
  return {
    names: names.filter((name) => !ours.has(name)),
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args === undefined ? {} : { args }),
  };
}

function architecturesOf({ architectures, archMap }: BaseProfile, machine: string): readonly string[] {
  if (architectures.length > 0) return architectures;
  const native = NATIVE[machine];
  const group = archMap.find(({ architecture }) => architecture === native);
  if (group) return [group.architecture, ...group.subArchitectures];
  return native === undefined ? [] : [native];
}

function changesOf(
  base: BaseProfile,
  held: readonly ConditionalRule[],
  architectures: readonly string[],
  options: ProfileOptions,
): string[] {
  const dropped = base.syscalls.length - held.length;
  const actions = (name: string): string =>
    [...new Set(held.filter(({ names }) => names.includes(name)).map(({ action }) => action))].join(', ') ||
    `the default, ${base.defaultAction}`;
  const narrow = architectures.filter((abi) => ABIS_32_BIT.has(abi));
  return [
    `for a container with ${options.capabilities.join(', ') || 'no capabilities'}: ${held.length} of the base's rules hold, ${dropped} do not`,
    `bpf was ${actions('bpf')}; now ${options.trapped.length} commands go to ${options.listenerPath} and ${options.native.length} are allowed`,
    ...(narrow.length > 0 ? [`bpf is refused (ENOSYS) in 32-bit ABIs: ${narrow.join(', ')}`] : []),
    ...(options.nesting ? [`clone3 was ${actions('clone3')}; now it goes to ${options.listenerPath}`] : []),
    ...(options.perf ? [`${PERF} was ${actions(PERF)}; now it goes to ${options.listenerPath}`] : []),
    ...(addsPerf(base, options) ? [`${PERF} is allowed: the base is older than ${PERFMON}`] : []),
    ...(options.waitKillable ? [`flag ${WAIT_KILLABLE}`] : []),
    ...(options.metadata === '' ? [] : [`metadata: ${options.metadata}`]),
  ];
}
