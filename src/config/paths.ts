/** Paths of everything that exists at run time. */

/** BPFNS_RUN_DIR moves everything, so that tests do not connect to the host's agent. */
export const runDir = process.env.BPFNS_RUN_DIR ?? '/run/bpfns';
export const paths = {
  /** Commands connect to it. Only root may. */
  socket: `${runDir}/agent.sock`,
  /** For those who only read: a group may be let in. */
  readOnlySocket: `${runDir}/control-ro.sock`,
  /** Container runtimes send listeners to it: the listenerPath of a profile. */
  seccompSocket: `${runDir}/seccomp.sock`,
  /** Names of containers: one file per namespace. */
  containers: `${runDir}/containers`,
  /** The agent holds it with flock(2), so that there is only one. */
  lock: `${runDir}/lock`,
  /** Exists while a service manager keeps the listeners. No agent may start without them then. */
  service: `${runDir}/service`,
  /** Where `bpfns keeper` takes fds, if it runs, and where it says which it has. */
  keeper: `${runDir}/keeper.sock`,
  keeperFds: `${runDir}/keeper-fds.sock`,
  /** The view of tracefs for guests with tracing=own, if it has been asked for. */
  tracefs: `${runDir}/tracefs`,
  /** Beside the run directory, which is root's: a directory for each user of the configuration. */
  users: `${runDir}-users`,
  log: `${runDir}/agent.log`,
  /** Written by an agent that leaves descriptors open, if BPFNS_TRACK_FDS has it look. */
  leakedFds: `${runDir}/leaked-fds`,
  /** A private bpffs, which guests that can see the host's bpffs cannot reach. */
  bpffs: `${runDir}/bpf`,
  maps: `${runDir}/bpf/maps`,
  links: `${runDir}/bpf/links`,
  /** During an upgrade: at first the new recorder, then what is left of the earlier one. */
  upgrade: `${runDir}/bpf/upgrade`,
} as const;

/** Sockets of a user, which nobody else may open; the directories are root's. */
export function userPaths(uid: number): { directory: string; socket: string; seccompSocket: string } {
  const directory = `${paths.users}/${uid}`;
  return { directory, socket: `${directory}/agent.sock`, seccompSocket: `${directory}/seccomp.sock` };
}
