/** What bpfns wants of a kernel: since when it is there, what for, and whether it is here. */
import { type Answer, no, unknown } from './answer.js';
import {
  probeForkTracepoint,
  probeFunctionHooks,
  probeLoop,
  probeRingBuffer,
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
} from './task-probes.js';

export type { Answer } from './answer.js';

export interface Feature {
  readonly name: string;
  /** The first Linux release with it, as "5.14". */
  readonly since: string;
  readonly usedFor: string;
  readonly without: string;
  /** Nothing works without it. */
  readonly required: boolean;
  /** Tries it on the running kernel. Leaves nothing behind, throws nothing. */
  readonly probe: () => Answer;
}

const NOTHING = 'bpfns cannot run';

const table: readonly Feature[] = [
  {
    name: 'seccomp listener',
    since: '5.0',
    usedFor: 'handing the id commands over to the agent',
    without: NOTHING,
    required: true,
    probe: probeListener,
  },
  {
    name: 'seccomp ADDFD',
    since: '5.9',
    usedFor: 'answering with an fd',
    without: NOTHING,
    required: true,
    probe: probeAddFd,
  },
  {
    name: 'seccomp WAIT_KILLABLE_RECV',
    since: '5.19',
    usedFor: 'no signal interrupts a call that the agent is answering',
    without: 'a signal can interrupt a trapped call with EINTR, or have it run twice',
    required: false,
    probe: probeWaitKillable,
  },
  {
    name: 'seccomp SYNC_WAKE_UP',
    since: '6.6',
    usedFor: 'quick answers',
    without: 'trapped calls take about four times as long',
    required: false,
    probe: probeSyncWakeUp,
  },
  {
    name: 'pidfd_getfd',
    since: '5.6',
    usedFor: "looking at callers' fds",
    without: NOTHING,
    required: true,
    probe: probePidfdGetfd,
  },
  {
    name: 'process_vm_readv',
    since: '3.2',
    usedFor: "reading callers' arguments",
    without: NOTHING,
    required: true,
    probe: probeProcessMemory,
  },
  {
    name: 'PIDFD_THREAD',
    since: '6.9',
    usedFor: 'the namespace of threads, and fds that a thread does not share with its process',
    without: 'nested namespaces: all tasks are searched; fds that a thread does not share count as not open',
    required: false,
    probe: probeThreadPidfd,
  },
  {
    name: 'kcmp',
    since: '3.5',
    usedFor: 'before 6.9: whether a thread shares the fds of its process',
    without: 'before 6.9, calls about an fd from any thread but the first fail as if it were not open',
    required: false,
    probe: probeKcmp,
  },
  {
    name: 'NS_GET_PID_FROM_PIDNS',
    since: '6.11',
    usedFor: 'pids of callers in a pid namespace',
    without: 'all processes are searched for a pid, which takes longer on a busy host',
    required: false,
    probe: probePidTranslation,
  },
  {
    name: 'BTF of the kernel',
    since: '5.4',
    usedFor: 'finding the way in kernel structures',
    without: NOTHING,
    required: true,
    probe: probeVmlinuxBtf,
  },
  {
    name: 'BPF ring buffer',
    since: '5.8',
    usedFor: 'news from the recorder',
    without: NOTHING,
    required: true,
    probe: probeRingBuffer,
  },
  {
    name: 'BPF task storage',
    since: '5.13',
    usedFor: 'the namespace of a task',
    without: NOTHING,
    required: true,
    probe: probeTaskStorage,
  },
  {
    name: 'BPF programs of type SYSCALL',
    since: '5.14',
    usedFor: 'forgetting dead objects',
    without: NOTHING,
    required: true,
    probe: probeSyscallPrograms,
  },
  {
    name: 'bpf_loop',
    since: '5.17',
    usedFor: 'finding what a light skeleton has created',
    without: NOTHING,
    required: true,
    probe: probeLoop,
  },
  {
    name: 'fork tracepoint',
    since: '5.5',
    usedFor: 'children are in the namespace of their parent',
    without: NOTHING,
    required: true,
    probe: probeForkTracepoint,
  },
  {
    name: 'function hooks (fentry, fexit)',
    since: '5.5',
    usedFor: 'noticing creations at no cost to other system calls',
    without: 'the system call tracepoints are used',
    required: false,
    probe: probeFunctionHooks,
  },
  {
    name: 'system call tracepoints',
    since: '4.7',
    usedFor: 'noticing creations where function hooks are refused; every system call takes longer meanwhile',
    without: 'function hooks are needed',
    required: false,
    probe: probeSyscallTracepoint,
  },
  {
    name: 'bpffs',
    since: '4.4',
    usedFor: 'records that outlive the agent',
    without: NOTHING,
    required: true,
    probe: probeBpffs,
  },
  {
    name: 'cgroup2',
    since: '4.5',
    usedFor: 'telling in which cgroup and container an object was created',
    without: 'the cgroup and the container of a creator are not told',
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

/** One of the two ways to notice creations must be there. */
const creationHook: Feature = {
  name: 'a hook on bpf(2)',
  since: '4.7',
  usedFor: 'noticing creations: function hooks or system call tracepoints',
  without: NOTHING,
  required: true,
  probe: () => {
    const both = [probeFunctionHooks(), probeSyscallTracepoint()];
    const best = both.find(({ answer }) => answer === 'yes') ?? both.find(({ answer }) => answer === 'unknown');
    return best ?? no(both.map(({ detail }) => detail).join('; '));
  },
};

export const features: readonly Feature[] = [...table, creationHook].map((feature) => ({
  ...feature,
  probe: guarded(feature.probe),
}));
