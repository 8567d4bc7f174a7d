/**
 * What the commands and the agent say to each other over the unix socket: one JSON
 * object a line, one reply for each request, in order.
 */

/** Raised when a request or a reply changes incompatibly. */
export const PROTOCOL_VERSION = 1;
/** The longest line either side accepts, in bytes. */
export const MAX_LINE = 64 * 1024;

/** Puts the calling process into a new namespace below init. Its filter must be installed already. */
export interface RunRequest {
  readonly op: 'run';
  readonly version: number;
  /** '' for none. */
  readonly name: string;
  readonly pins: 'own' | 'any';
  /** The listener's fd number in the calling process. */
  readonly listener: number;
}

export interface StatusRequest {
  readonly op: 'status';
  readonly version: number;
}

export type Request = RunRequest | StatusRequest;

export interface RunReply {
  readonly namespace: number;
}

export interface StatusReply {
  readonly pid: number;
  readonly backend: 'function' | 'tracepoint';
  readonly namespaces: number;
  readonly lostObjects: number;
  readonly lostTasks: number;
  readonly ringOverflows: number;
}

export interface ErrorReply {
  readonly error: { readonly code: string; readonly message: string };
}

/** Why a line is no request, or the request itself. */
export function parseRequest(line: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON';
  }
  if (typeof value !== 'object' || value === null) return 'not an object';
  const { op, version, name, pins, listener } = value as Record<string, unknown>;
  if (version !== PROTOCOL_VERSION) return `protocol version ${String(version)}, expected ${PROTOCOL_VERSION}`;
  if (op === 'status') return { op, version };
  if (op !== 'run') return `unknown op '${String(op)}'`;
  if (typeof name !== 'string') return 'name must be a string';
  if (pins !== 'own' && pins !== 'any') return "pins must be 'own' or 'any'";
  if (typeof listener !== 'number' || !Number.isInteger(listener) || listener < 0)
    return 'listener must be a fd number';
  return { op, version, name, pins, listener };
}

/** Why a namespace may not be called that, or undefined: names appear in listings and on command lines. */
export function nameProblem(name: string): string | undefined {
  if (name.length > 63) return 'it is longer than 63 characters';
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$/.test(name))
    return 'only letters, digits, _ and (not first) . : @ - may appear';
  if (/^\d+$/.test(name) || /^(self|init|pid:.*)$/.test(name)) return 'it would read as an id, self, init or pid:N';
  return undefined;
}
