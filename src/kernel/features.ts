/** The kernel features that bpfns uses: the first release with each, its purpose, and a probe. */
import { type Answer, no, unknown } from './answer.js';
import {
  probeForkLsm,
  probeForkTracepoint,
  probeFunctionHooks,
  probeKprobes,
  probeLoop,
  probeRingBuffer,
  probeSleepableMaps,
  probeStackStatistics,
  probeSyscallPrograms,
  probeSyscallTracepoint,
  probeTaskStorage,
  probeVmlinuxBtf,
} from './bpf-probes.js';
import { probeAddFd, probeListener, probeSyncWakeUp, probeWaitKillable } from './seccomp-probes.js';
import {
  probeBpffs,
  probeCgroup2,
  probeKcmp,
  probePidfdGetfd,
  probePidTranslation,
  probeProcessMemory,
  probeThreadPidfd,
  probeToken,
} from './task-probes.js';

export type { Answer } from './answer.js';

export interface Feature {
  readonly name: string;
  /** The first Linux release with it, as "5.14". */
  readonly since: string;
  /** An option of the kernel's build that not every kernel has, and without which it is missing. */
  readonly option?: string;
  /** Completes "This feature ...": `doctor`'s note where the feature is there. */
  readonly usedFor: string;
  /** What follows where it is missing. */
  readonly without: string;
  /** bpfns cannot run without it. */
  readonly required: boolean;
  /** Tries it on the running kernel. Leaves nothing behind, throws nothing. */
  readonly probe: () => Answer;
}

const NOTHING = 'bpfns cannot run';

const table: readonly Feature[] = [
  {
    name: 'seccomp listener',
    since: '5.0',
    usedFor: 'lets the agent answer id commands',
    without: NOTHING,
    required: true,
    probe: probeListener,
  },
  {
    name: 'seccomp ADDFD',
    since: '5.9',
    usedFor: 'lets the agent answer with an fd',
    without: NOTHING,
    required: true,
    probe: probeAddFd,
  },
  {
    name: 'seccomp WAIT_KILLABLE_RECV',
    since: '5.19',
    usedFor: 'protects a call that the agent is answering from signals',
    without: 'a signal can interrupt a trapped call (EINTR), or cause it to run twice',
    required: false,
    probe: probeWaitKillable,
  },
  {
    name: 'seccomp SYNC_WAKE_UP',
    since: '6.6',
    usedFor: 'wakes the caller on the same CPU',
    without: 'trapped calls take about four times as long',
    required: false,
    probe: probeSyncWakeUp,
  },
  {
    name: 'pidfd_getfd',
    since: '5.6',
    usedFor: "lets the agent inspect callers' fds",
    without: NOTHING,
    required: true,
    probe: probePidfdGetfd,
  },
  {
    name: 'process_vm_readv',
    since: '3.2',
    usedFor: "lets the agent read callers' arguments",
    without: NOTHING,
    required: true,
    probe: probeProcessMemory,
  },
  {
    name: 'PIDFD_THREAD',
    since: '6.9',
    usedFor: 'identifies threads, and fds that a thread does not share with its process',
    without: 'nested namespaces need a search of all tasks; fds that a thread does not share count as closed (EBADF)',
    required: false,
    probe: probeThreadPidfd,
  },
  {
    name: 'kcmp',
    since: '3.5',
    usedFor: 'before 6.9: shows whether a thread shares the fds of its process',
    without: 'before 6.9, calls with an fd fail with EBADF from any thread but the first',
    required: false,
    probe: probeKcmp,
  },
  {
    name: 'NS_GET_PID_FROM_PIDNS',
    since: '6.11',
    usedFor: 'translates pids of callers in a pid namespace',
    without: 'a pid is found by a search of all processes, which is slow on a busy host',
    required: false,
    probe: probePidTranslation,
  },
  {
    name: 'BTF of the kernel',
    since: '5.4',
    usedFor: 'adapts the recorder to the kernel (CO-RE)',
    without: NOTHING,
    required: true,
    probe: probeVmlinuxBtf,
  },
  {
    name: 'BPF ring buffer',
    since: '5.8',
    usedFor: 'carries events from the recorder to the agent',
    without: NOTHING,
    required: true,
    probe: probeRingBuffer,
  },
  {
    name: 'BPF task storage',
    since: '5.13',
    usedFor: 'stores the namespace of each task',
    without: NOTHING,
    required: true,
    probe: probeTaskStorage,
  },
  {
    name: 'BPF programs of type SYSCALL',
    since: '5.14',
    usedFor: 'lets the agent delete the records of dead objects',
    without: NOTHING,
    required: true,
    probe: probeSyscallPrograms,
  },
  {
    name: 'sleepable programs with maps on demand',
    since: '6.1',
    usedFor: "lets the agent change the recorder's tables, which take memory only as they fill",
    without: NOTHING,
    required: true,
    probe: probeSleepableMaps,
  },
  {
    name: 'bpf_loop',
    since: '5.17',
    usedFor: 'finds the objects that a light skeleton created',
    without: NOTHING,
    required: true,
    probe: probeLoop,
  },
  {
    name: "stack use in the verifier's log",
    since: '5.2',
    usedFor: 'shows what a program of tracing=own has to clear before it begins',
    without: 'there is no tracing=own',
    required: false,
    probe: probeStackStatistics,
  },
  {
    name: 'fork tracepoint',
    since: '5.5',
    usedFor: 'puts children into the namespace of their parent',
    without: NOTHING,
    required: true,
    probe: probeForkTracepoint,
  },
  {
    name: 'LSM hook on fork',
    since: '6.8',
    usedFor: 'misses no fork on a preemptible kernel',
    without: 'on a preemptible kernel, forks can be missed',
    required: false,
    probe: probeForkLsm,
  },
  {
    name: 'function hooks (fentry, fexit)',
    since: '6.1',
    usedFor: 'notice new objects at no cost to other system calls',
    without: 'the recorder uses kprobes or system call tracepoints',
    required: false,
    probe: probeFunctionHooks,
  },
  {
    name: 'kprobes at return (kprobe.multi)',
    since: '6.14',
    option: 'CONFIG_FPROBE',
    usedFor: 'notice new objects on a preemptible kernel, at no cost to other system calls',
    without: 'on a preemptible kernel the recorder uses system call tracepoints',
    required: false,
    probe: probeKprobes,
  },
  {
    name: 'system call tracepoints',
    since: '4.7',
    usedFor: 'notice new objects where function hooks are refused; every system call takes longer',
    without: 'the recorder needs function hooks',
    required: false,
    probe: probeSyscallTracepoint,
  },
  {
    name: 'bpffs',
    since: '4.4',
    usedFor: 'keeps records while no agent runs',
    without: NOTHING,
    required: true,
    probe: probeBpffs,
  },
  {
    name: 'BPF token',
    since: '6.9',
    usedFor: 'lets guests in user namespaces create what is delegated to them',
    without: 'there is no --delegate: nothing can be created in user namespaces',
    required: false,
    probe: probeToken,
  },
  {
    name: 'cgroup2',
    since: '4.5',
    usedFor: 'shows in which cgroup and container an object was created',
    without: 'the cgroup and container of a creator are unknown',
    required: false,
    probe: probeCgroup2,
  },
];

function guarded(probe: () => Answer): () => Answer {
  return () => {
    try {
      return probe();
    } catch (error) {
      return unknown(error instanceof Error ? error.message : String(error));
    }
  };
}

/** One of the three kinds of hook must be there. */
const creationHook: Feature = {
  name: 'a hook on bpf(2)',
  since: '4.7',
  usedFor: 'notices new objects: function hooks, kprobes, or system call tracepoints',
  without: NOTHING,
  required: true,
  probe: () => {
    const all = [probeFunctionHooks(), probeKprobes(), probeSyscallTracepoint()];
    const best = all.find(({ answer }) => answer === 'yes') ?? all.find(({ answer }) => answer === 'unknown');
    return best ?? no(all.map(({ detail }) => detail).join('; '));
  },
};

export const features: readonly Feature[] = [...table, creationHook].map((feature) => ({
  ...feature,
  probe: guarded(feature.probe),
}));
