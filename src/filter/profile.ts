/**
 * Makes a seccomp profile for OCI runtimes that hands bpf(2)'s id commands to the agent,
 * out of the profile that the engine would use without bpfns. Pure.
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
  /** Handed to the agent with every listener; '' for none. */
  readonly metadata: string;
  /** What the container may do, in full: CAP_BPF. Decides which of the base's conditions hold. */
  readonly capabilities: readonly string[];
  /** As Go names it. */
  readonly architecture: string;
  /** The kernel's version, for conditions on it. */
  readonly kernel: readonly [major: number, minor: number];
  /** Commands of bpf(2) that go to the agent, and all others that the kernel may run. */
  readonly trapped: readonly number[];
  readonly native: readonly number[];
  /** Also clone3(), so that programs in the container can make namespaces. */
  readonly nesting: boolean;
  /** A call that the agent has fetched is interrupted only by a fatal signal. */
  readonly waitKillable: boolean;
}

export interface MadeProfile {
  readonly profile: Profile;
  /** What is different from the base, a line each. */
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
 * A test that holds for every 32-bit system call and for no other: libseccomp leaves out the
 * upper half of mask and value where arguments have 32 bits, and "x & 0 == 0" is left. Where
 * they have 64, no caller has this in the upper half of bpf(2)'s command, and the kernel does
 * not look there. Below 2^53, so that every JSON parser reads the same number.
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

/** Go's names for machines, and the kernel's as profiles spell them. */
const NATIVE: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
  s390x: 'SCMP_ARCH_S390X',
  ppc64le: 'SCMP_ARCH_PPC64LE',
  riscv64: 'SCMP_ARCH_RISCV64',
};

/** @throws ProfileError if the base has another agent already */
export function makeProfile(base: BaseProfile, options: ProfileOptions): MadeProfile {
  const ours = new Set(['bpf', ...(options.nesting ? ['clone3'] : []), ...(addsPerf(base, options) ? [PERF] : [])]);
  refuseOtherAgent(base, ours, options.listenerPath);
  const held = base.syscalls.filter((rule) => holds(rule, options));
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
 * Programs are attached to tracepoints and probes through perf_event_open(2). Profiles older
 * than CAP_PERFMON keep it for CAP_SYS_ADMIN; those that know it say so themselves.
 */
function addsPerf(base: BaseProfile, { capabilities }: ProfileOptions): boolean {
  const knows = base.syscalls.some(({ includes }) => includes.caps.includes(PERFMON));
  const isConditional = base.syscalls.some(({ includes, names }) => names.includes(PERF) && includes.caps.length > 0);
  return capabilities.includes(PERFMON) && isConditional && !knows;
}

function ourRules(base: BaseProfile, architectures: readonly string[], options: ProfileOptions): Rule[] {
  const rules = options.trapped.map((command) => onCommand(NOTIFY, command));
  // The agent refuses them with ENOSYS. An ERRNO rule would do, but a runtime drops a rule that says
  // what the default says, and in podman's profile that is ENOSYS.
  if (architectures.some((abi) => ABIS_32_BIT.has(abi))) rules.push(onArgument(NOTIFY, UPPER_HALF, NEVER_THERE));
  if (base.defaultAction !== ALLOW) {
    rules.push(...options.native.map((command) => onCommand(ALLOW, command)));
    if (addsPerf(base, options)) rules.push({ names: [PERF], action: ALLOW });
  }
  if (options.nesting) rules.push({ names: ['clone3'], action: NOTIFY });
  return rules;
}

function onCommand(action: string, command: number): Rule {
  return onArgument(action, COMMAND_MASK, command);
}

function onArgument(action: string, mask: number, value: number): Rule {
  return { names: ['bpf'], action, args: [{ index: 0, value: mask, valueTwo: value, op: MASKED_EQ }] };
}

/** One filter can have one listener, and so one agent. */
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

/** The rule for all its other calls, its conditions met and gone. */
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
    ...(addsPerf(base, options) ? [`${PERF} is allowed: the base is older than ${PERFMON}`] : []),
    ...(options.waitKillable ? [`flag ${WAIT_KILLABLE}`] : []),
    ...(options.metadata === '' ? [] : [`metadata: ${options.metadata}`]),
  ];
}
