/**
 * The table of everything that differs between architectures. Sources in the kernel:
 * arch/x86/entry/syscalls, include/uapi/asm-generic/unistd.h, uapi/linux/audit.h, uapi/asm/fcntl.h.
 */

export interface SystemCalls {
  readonly close: number;
  readonly ioctl: number;
  readonly pwrite64: number;
  readonly process_vm_readv: number;
  readonly rt_sigprocmask: number;
  readonly capget: number;
  readonly capset: number;
  readonly gettid: number;
  readonly setfsuid: number;
  readonly setfsgid: number;
  readonly getgroups: number;
  readonly setgroups: number;
  readonly perf_event_open: number;
  readonly kcmp: number;
  readonly seccomp: number;
  readonly bpf: number;
  readonly unshare: number;
  readonly pidfd_send_signal: number;
  readonly move_mount: number;
  readonly fsopen: number;
  readonly fsconfig: number;
  readonly fsmount: number;
  readonly pidfd_open: number;
  readonly clone3: number;
  readonly openat2: number;
  readonly pidfd_getfd: number;
  readonly faccessat2: number;
  readonly lsm_list_modules: number;
}

export interface Architecture {
  /** Go's and Debian's name. */
  readonly name: 'amd64' | 'arm64';
  readonly syscalls: SystemCalls;
  /** AUDIT_ARCH_* of 64-bit processes. */
  readonly audit: number;
  /** The ABI of 32-bit processes: its AUDIT_ARCH_*, and its number of bpf(2). */
  readonly narrow: { readonly audit: number; readonly bpf: number; readonly perf_event_open: number };
  /** The bit in the system call numbers of a second ABI with the same `audit`, if there is one (x32). */
  readonly secondAbi: number | undefined;
  /** The kernel function of bpf(2). */
  readonly bpfFunction: string;
  /**
   * Whether a struct pt_regs is of user mode: the offset of a word of it, and its bits that say so,
   * by being set or by being clear.
   */
  readonly userMode: { readonly at: number; readonly mask: number; readonly ifSet: boolean };
  /** A flag of open(2). */
  readonly directory: number;
  /** struct epoll_event: its size, and the offset of `data`. */
  readonly epollEvent: { readonly sizeof: number; readonly data: number };
}

const amd64: Architecture = {
  name: 'amd64',
  syscalls: {
    close: 3,
    ioctl: 16,
    pwrite64: 18,
    process_vm_readv: 310,
    rt_sigprocmask: 14,
    capget: 125,
    capset: 126,
    gettid: 186,
    setfsuid: 122,
    setfsgid: 123,
    getgroups: 115,
    setgroups: 116,
    perf_event_open: 298,
    kcmp: 312,
    seccomp: 317,
    bpf: 321,
    unshare: 272,
    pidfd_send_signal: 424,
    move_mount: 429,
    fsopen: 430,
    fsconfig: 431,
    fsmount: 432,
    pidfd_open: 434,
    clone3: 435,
    openat2: 437,
    pidfd_getfd: 438,
    faccessat2: 439,
    lsm_list_modules: 461,
  },
  audit: 0xc000003e,
  narrow: { audit: 0x40000003, bpf: 357, perf_event_open: 336 }, // i386
  secondAbi: 0x40000000,
  bpfFunction: '__x64_sys_bpf',
  userMode: { at: 136, mask: 3, ifSet: true }, // cs
  directory: 0o200000,
  epollEvent: { sizeof: 12, data: 4 }, // packed
};

const arm64: Architecture = {
  name: 'arm64',
  syscalls: {
    close: 57,
    ioctl: 29,
    pwrite64: 68,
    process_vm_readv: 270,
    rt_sigprocmask: 135,
    capget: 90,
    capset: 91,
    gettid: 178,
    setfsuid: 151,
    setfsgid: 152,
    getgroups: 158,
    setgroups: 159,
    perf_event_open: 241,
    kcmp: 272,
    seccomp: 277,
    bpf: 280,
    unshare: 97,
    pidfd_send_signal: 424,
    move_mount: 429,
    fsopen: 430,
    fsconfig: 431,
    fsmount: 432,
    pidfd_open: 434,
    clone3: 435,
    openat2: 437,
    pidfd_getfd: 438,
    faccessat2: 439,
    lsm_list_modules: 461,
  },
  audit: 0xc00000b7,
  narrow: { audit: 0x40000028, bpf: 386, perf_event_open: 364 }, // arm
  secondAbi: undefined,
  bpfFunction: '__arm64_sys_bpf',
  userMode: { at: 264, mask: 0xf, ifSet: false }, // pstate
  directory: 0o40000,
  epollEvent: { sizeof: 16, data: 8 },
};

/** By process.arch. */
export const architectures = { x64: amd64, arm64 } as const;

function ofThisMachine(): Architecture {
  const found = (architectures as Readonly<Record<string, Architecture>>)[process.arch];
  if (!found) throw new Error(`bpfns does not run on ${process.arch}: x86-64 and arm64 only`);
  return found;
}

export const architecture = ofThisMachine();
