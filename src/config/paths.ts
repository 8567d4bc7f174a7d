/** Where things live at run time. */

/** BPFNS_RUN_DIR moves everything, so that tests do not meet a running agent. */
export const runDir = process.env.BPFNS_RUN_DIR ?? '/run/bpfns';
export const paths = {
  /** Connected to by the commands; root only. */
  socket: `${runDir}/agent.sock`,
  /** Where container runtimes send listeners: the listenerPath of a profile. */
  seccompSocket: `${runDir}/seccomp.sock`,
  /** What is known of containers, a file for each namespace. */
  containers: `${runDir}/containers`,
  /** Held with flock(2) by the one agent. */
  lock: `${runDir}/lock`,
  /** There while a service manager keeps the listeners: then no agent may start without them. */
  service: `${runDir}/service`,
  log: `${runDir}/agent.log`,
  /** Written by an agent that leaves descriptors open, if BPFNS_TRACK_FDS has it look. */
  leakedFds: `${runDir}/leaked-fds`,
  /** A bpffs of our own: guests that see the host's cannot touch it. */
  bpffs: `${runDir}/bpf`,
  maps: `${runDir}/bpf/maps`,
  links: `${runDir}/bpf/links`,
} as const;
