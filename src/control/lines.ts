/** The lines of the protocol: formatted, parsed, and held to their types. */
import { kinds } from '../model/ids.js';
import { tracingModes } from '../model/namespaces.js';
import { PROTOCOL_VERSION, type Request } from './protocol.js';

const fields = {
  text: (value: unknown) => typeof value === 'string' && value.length <= 4096,
  count: (value: unknown) => isWithin(value, 0xffffffff),
  fd: (value: unknown) => isWithin(value, 0x7fffffff),
  tracing: (value: unknown) => value === undefined || value === 'parent' || tracingModes.some((mode) => mode === value),
  pins: (value: unknown) => value === 'own' || value === 'any',
  boolean: (value: unknown) => typeof value === 'boolean',
  kind: (value: unknown) => kinds.some((kind) => kind === value),
} as const;

function isWithin(value: unknown, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

/** The fields of every request, and their types. */
export const shapes: Readonly<Record<Request['op'], Readonly<Record<string, keyof typeof fields>>>> = {
  run: { parent: 'text', name: 'text', pins: 'pins', tracing: 'tracing', listener: 'fd' },
  join: { namespace: 'text', listener: 'fd' },
  create: { parent: 'text', name: 'text', pins: 'pins', tracing: 'tracing', ownerUid: 'count', maxNamespaces: 'count' },
  describe: { namespace: 'text' },
  remove: { namespace: 'text' },
  tracefs: {},
  delegate: { context: 'fd', what: 'text' },
  status: {},
  events: {},
  statistics: {},
  list: { objects: 'boolean' },
  watch: { objects: 'boolean', interval: 'count' },
  who: { kind: 'kind', hostId: 'count' },
  objects: { kind: 'kind' },
  graph: { kind: 'kind', hostId: 'count' },
  processes: {},
  task: { pid: 'count' },
  handover: {},
  release: {},
};

/** Formats a request as a line. */
export function formatRequest(request: Request): string {
  return `${JSON.stringify({ version: PROTOCOL_VERSION, ...request })}\n`;
}

/** The line is not a valid request; the message says why. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code = 'EINVAL';

  constructor(reason: string) {
    super(`bad request: ${reason}`);
  }
}

/** Parses a line. @throws ProtocolError */
export function parseRequest(line: string): Request {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ProtocolError('not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new ProtocolError('not an object');
  const given = value as Record<string, unknown>;
  if (given.version !== PROTOCOL_VERSION) {
    throw new ProtocolError(`protocol version ${shown(given.version)}, expected ${PROTOCOL_VERSION}`);
  }
  const op = Object.keys(shapes).find((name) => name === given.op) as Request['op'] | undefined;
  if (!op) throw new ProtocolError(`unknown op '${shown(given.op)}'`);
  for (const [field, type] of Object.entries(shapes[op])) {
    if (!fields[type](given[field])) throw new ProtocolError(`bad ${field}`);
  }
  return given as unknown as Request;
}

/** A value as text, for a message. An object's own `toString` may throw. */
function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, 40) : typeof value;
}
