/** The OCI container process state, which a runtime sends to a seccomp agent (runtime-spec, config-linux.md). */

export interface ContainerState {
  /** The container's id: the same for its init and every exec. */
  readonly id: string;
  /** The process that the listener is for, as the runtime sees it; 0 if the runtime does not say. */
  readonly pid: number;
  /** The position of the listener among the passed fds. */
  readonly listenerIndex: number;
  /** listenerMetadata of the profile; '' if none. */
  readonly metadata: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The longest message that is read, in bytes. Annotations alone may exceed 32 KiB. */
export const MAX_STATE = 1024 * 1024;

/** A runtime's message or a profile's metadata cannot be used; the message says why. */
export class OciError extends Error {
  override readonly name = 'OciError';
}

/**
 * Parses the state. Some runtimes leave the socket open, so the message ends where the JSON ends.
 * @returns undefined if more has to come @throws OciError
 */
export function parseContainerState(text: string): ContainerState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !isRecord(value.state)) throw new OciError('no container state in the message');
  const { fds, pid, metadata, state } = value;
  const id = state.id;
  if (typeof id !== 'string' || id === '') throw new OciError('the state has no container id');
  const listenerIndex = Array.isArray(fds) ? fds.indexOf('seccompFd') : -1;
  if (listenerIndex < 0) throw new OciError(`container ${id}: no seccompFd among the fds`);
  // `pid` alone is used: state.pid is that of the init process with runc, of the exec with crun, and may be missing.
  return {
    id,
    pid: typeof pid === 'number' && Number.isInteger(pid) && pid > 0 ? pid : 0,
    listenerIndex,
    metadata: typeof metadata === 'string' ? metadata : '',
    annotations: isRecord(state.annotations) ? stringsOf(state.annotations) : {},
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringsOf(record: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
