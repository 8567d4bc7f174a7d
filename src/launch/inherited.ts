/**
 * What bin/bpfns noted of the process before Node changed it, and how to put it back:
 * Node ignores SIGPIPE and resets other ignored signals, raises the fd limit, and marks
 * inherited fds close-on-exec.
 */
import { fcntl, prlimit, setenv, signal, unsetenv } from '../sys/libc.js';

const F_SETFD = 2;
const RLIMIT_NOFILE = 7;
const SIG_DFL = 0;
const SIG_IGN = 1;
const SIGKILL = 9;
const SIGSTOP = 19;
const LAST_SIGNAL = 64;

/** Set by bin/bpfns, never seen by the command. */
const NOTED = 'BPFNS_INHERITED';
const NODE_OPTIONS = 'BPFNS_NODE_OPTIONS';

/** Undoes Node's changes just before exec; there is no way back. */
export function restoreInherited(): void {
  const [ignored = '0', softLimit = '', fds = '0 1 2'] = (process.env[NOTED] ?? '').split(';');
  const mask = BigInt(`0x${ignored || '0'}`);
  for (let number = 1; number <= LAST_SIGNAL; number++) {
    if (number === SIGKILL || number === SIGSTOP) continue;
    signal(number, (mask >> BigInt(number - 1)) & 1n ? SIG_IGN : SIG_DFL);
  }
  restoreFdLimit(softLimit);
  for (const fd of fds.split(' ').filter((text) => text !== '')) fcntl(Number(fd), F_SETFD, 0);
  const nodeOptions = process.env[NODE_OPTIONS];
  if (nodeOptions !== undefined) setenv('NODE_OPTIONS', nodeOptions, 1);
  unsetenv(NOTED);
  unsetenv(NODE_OPTIONS);
}

function restoreFdLimit(soft: string): void {
  if (!/^\d+$/.test(soft)) return; // unlimited: Node raises nothing above it
  const limits = Buffer.alloc(16);
  if (prlimit(0, RLIMIT_NOFILE, null, limits) < 0) return;
  limits.writeBigUInt64LE(BigInt(soft), 0);
  prlimit(0, RLIMIT_NOFILE, limits, null);
}
