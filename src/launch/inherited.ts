/**
 * Restores what Node changes in a process: it ignores SIGPIPE, resets other signals and the mask,
 * raises the fd limit, and marks inherited fds close-on-exec. bin/bpfns notes the original state.
 */
import { RLIMIT_NOFILE } from '../sys/fd-reserve.js';
import { fcntl, prlimit, rtSigprocmask, SYS, signal } from '../sys/libc.js';

const F_SETFD = 2;
const SIG_DFL = 0;
const SIG_IGN = 1;
const SIG_SETMASK = 2;
const SIGKILL = 9;
const SIGSTOP = 19;
const LAST_SIGNAL = 64;

/** bin/bpfns sets these, and the command never sees them. NOTED_1, NOTED_2 ... hold the environment in base64. */
const NOTED = 'BPFNS_NOTED';

/** Undoes Node's changes just before exec. This cannot be reverted. */
export function restoreInherited(): void {
  const [ignored = '', blocked = '', softLimit = '', fds = '0 1 2'] = noted();
  const mask = BigInt(`0x${ignored || '0'}`);
  for (let number = 1; number <= LAST_SIGNAL; number++) {
    if (number === SIGKILL || number === SIGSTOP) continue;
    signal(number, (mask >> BigInt(number - 1)) & 1n ? SIG_IGN : SIG_DFL);
  }
  restoreFdLimit(softLimit);
  for (const fd of fds.split(' ').filter((text) => text !== '')) fcntl(Number(fd), F_SETFD, 0);
  // Last: from here on, signals that were blocked stay pending.
  const set = Buffer.alloc(8);
  set.writeBigUInt64LE(BigInt(`0x${blocked || '0'}`));
  rtSigprocmask(SYS.rt_sigprocmask, SIG_SETMASK, set, null, set.length);
}

function restoreFdLimit(soft: string): void {
  if (!/^\d+$/.test(soft)) return; // unlimited: Node cannot raise it
  const limits = Buffer.alloc(16);
  if (prlimit(0, RLIMIT_NOFILE, null, limits) < 0) return;
  limits.writeBigUInt64LE(BigInt(soft), 0);
  prlimit(0, RLIMIT_NOFILE, limits, null);
}

/** The environment that bin/bpfns received, byte for byte. */
export function inheritedEnvironment(): Buffer[] {
  const parts = Number(noted()[4] ?? 0);
  const base64 = Array.from({ length: parts }, (_, i) => process.env[`${NOTED}_${i + 1}`] ?? '').join('');
  return splitStrings(Buffer.from(base64, 'base64'));
}

function noted(): string[] {
  return (process.env[NOTED] ?? '').split(';');
}

/** Splits the format of /proc/PID/cmdline and environ: strings, each terminated by a NUL. */
export function splitStrings(bytes: Buffer): Buffer[] {
  const strings: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    strings.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
  }
  return strings;
}
