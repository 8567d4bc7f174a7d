/** Finds a profile to start from, and has a small one for machines without any. */
import type { BaseProfile, ConditionalRule } from './profile-format.js';

/** The administrator's profile comes before the distribution's. Docker and containerd have theirs compiled in. */
export const baseProfilePaths = ['/etc/containers/seccomp.json', '/usr/share/containers/seccomp.json'] as const;

const EPERM = 1;
const none = { caps: [], arches: [] } as const;
const refused: ConditionalRule = {
  names: [
    'acct',
    'add_key',
    'clock_settime',
    'delete_module',
    'finit_module',
    'init_module',
    'ioperm',
    'iopl',
    'kexec_file_load',
    'kexec_load',
    'keyctl',
    'lookup_dcookie',
    'mount_setattr',
    'move_pages',
    'open_by_handle_at',
    'pivot_root',
    'quotactl',
    'reboot',
    'request_key',
    'settimeofday',
    'swapoff',
    'swapon',
    'userfaultfd',
    'vhangup',
  ],
  action: 'SCMP_ACT_ERRNO',
  errnoRet: EPERM,
  includes: none,
  excludes: none,
};

/** Allows everything except what concerns the whole machine. Used where no engine has a list of its own. */
export const builtInBase: BaseProfile = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: [],
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
    { architecture: 'SCMP_ARCH_S390X', subArchitectures: ['SCMP_ARCH_S390'] },
  ],
  syscalls: [refused],
};
