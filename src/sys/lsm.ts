/** The security modules of the running kernel. */
import { SYS, syscallListLsm } from './libc.js';

/** include/uapi/linux/lsm.h */
const LSM_ID_BPF = 109n;
const MAX_MODULES = 64;

/**
 * Whether the hooks of LSM programs run. BPF may be built in, and yet be off: left out of the list of modules
 * at boot. Programs attach all the same. Unknown before Linux 6.8.
 */
export function lsmOfBpf(): 'on' | 'off' | 'unknown' {
  const ids = Buffer.alloc(MAX_MODULES * 8);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(ids.length);
  const count = syscallListLsm(SYS.lsm_list_modules, ids, size, 0);
  if (count < 0) return 'unknown';
  return Array.from({ length: count }, (_, i) => ids.readBigUInt64LE(i * 8)).includes(LSM_ID_BPF) ? 'on' : 'off';
}
