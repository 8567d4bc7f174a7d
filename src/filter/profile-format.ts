/** Seccomp profiles in the format of engines (with conditions) and of runtimes (without). */

export interface Argument {
  readonly index: number;
  readonly value: number;
  /** For SCMP_CMP_MASKED_EQ `value` is the mask, and this is the value to compare with. */
  readonly valueTwo: number;
  readonly op: string;
}

/** System calls and the action for them. */
export interface Rule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly Argument[];
}

/** A rule of an engine's profile applies only if all its `includes` and none of its `excludes` are met. */
export interface ConditionalRule extends Rule {
  readonly includes: Conditions;
  readonly excludes: Conditions;
}

export interface Conditions {
  readonly caps: readonly string[];
  /** Go's names: amd64, arm64, s390x. */
  readonly arches: readonly string[];
  readonly minKernel?: string;
}

export interface ArchitectureGroup {
  readonly architecture: string;
  readonly subArchitectures: readonly string[];
}

/** The "linux.seccomp" of a runtime's config.json. */
export interface Profile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly Rule[];
}

/** The engine's profile, from which it makes the runtime's. */
export interface BaseProfile extends Omit<Profile, 'syscalls'> {
  readonly archMap: readonly ArchitectureGroup[];
  readonly syscalls: readonly ConditionalRule[];
}

/** The profile is not valid; the message says where and why. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

type Json = Readonly<Record<string, unknown>>;

/** Error numbers by name. */
export type Errnos = Readonly<Record<string, number>>;

/** Parses a profile. @throws ProfileError that names the key and what was expected */
export function parseProfile(text: string, errnos: Errnos): BaseProfile {
  const top = object(parseJson(text), 'the profile');
  const errno = errnoOf(top, 'defaultErrnoRet', 'defaultErrno', 'the profile', errnos);
  const flags = strings(top, 'flags', 'the profile');
  return {
    defaultAction: string(top, 'defaultAction', 'the profile'),
    ...(errno === undefined ? {} : { defaultErrnoRet: errno }),
    architectures: strings(top, 'architectures', 'the profile'),
    ...(flags.length === 0 ? {} : { flags }),
    ...optionalString(top, 'listenerPath'),
    ...optionalString(top, 'listenerMetadata'),
    archMap: list(top, 'archMap', 'the profile').map((entry, i) => architectureGroup(entry, `archMap[${i}]`)),
    syscalls: list(top, 'syscalls', 'the profile').map((entry, i) => rule(entry, `syscalls[${i}]`, errnos)),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProfileError(`not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
}

function architectureGroup(entry: unknown, where: string): ArchitectureGroup {
  const group = object(entry, where);
  return {
    architecture: string(group, 'architecture', where),
    subArchitectures: strings(group, 'subArchitectures', where),
  };
}

function rule(entry: unknown, where: string, errnos: Errnos): ConditionalRule {
  const from = object(entry, where);
  const errno = errnoOf(from, 'errnoRet', 'errno', where, errnos);
  const args = list(from, 'args', where).map((each, i) => argument(each, `${where}.args[${i}]`));
  return {
    // In Docker's first format each rule has one name.
    names: typeof from.name === 'string' && from.name !== '' ? [from.name] : strings(from, 'names', where),
    action: string(from, 'action', where),
    ...(errno === undefined ? {} : { errnoRet: errno }),
    ...(args.length === 0 ? {} : { args }),
    includes: conditions(from.includes, `${where}.includes`),
    excludes: conditions(from.excludes, `${where}.excludes`),
  };
}

function argument(entry: unknown, where: string): Argument {
  const from = object(entry, where);
  return {
    index: number(from, 'index', where),
    value: number(from, 'value', where),
    valueTwo: number(from, 'valueTwo', where, 0),
    op: string(from, 'op', where),
  };
}

function conditions(value: unknown, where: string): Conditions {
  const from = value === undefined || value === null ? {} : object(value, where);
  return {
    caps: strings(from, 'caps', where),
    arches: strings(from, 'arches', where),
    ...optionalString(from, 'minKernel'),
  };
}

function object(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ProfileError(`${where}: expected an object`);
  }
  return value as Json;
}

function list(from: Json, key: string, where: string): readonly unknown[] {
  const value = from[key] ?? [];
  if (!Array.isArray(value)) throw new ProfileError(`${where}: expected a list in "${key}"`);
  return value;
}

function strings(from: Json, key: string, where: string): readonly string[] {
  return list(from, key, where).map((value) => {
    if (typeof value !== 'string') throw new ProfileError(`${where}: expected only strings in "${key}"`);
    return value;
  });
}

function string(from: Json, key: string, where: string): string {
  const value = from[key];
  if (typeof value !== 'string') throw new ProfileError(`${where}: expected a string in "${key}"`);
  return value;
}

function optionalString<K extends string>(from: Json, key: K): { readonly [key in K]?: string } {
  const value = from[key];
  return typeof value === 'string' && value !== '' ? ({ [key]: value } as { [key in K]: string }) : {};
}

function number(from: Json, key: string, where: string, otherwise?: number): number {
  const value = from[key] ?? otherwise;
  // A number that JavaScript cannot represent exactly would change.
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new ProfileError(`${where}: expected a whole number up to 2^53 in "${key}"`);
  }
  return value;
}

/** The number under `key`, or the number of the error name under `nameKey`, which podman's profiles also have. */
function errnoOf(from: Json, key: string, nameKey: string, where: string, errnos: Errnos): number | undefined {
  if (from[key] !== undefined && from[key] !== null) return number(from, key, where);
  const name = from[nameKey];
  if (name === undefined || name === '') return undefined;
  const value = typeof name === 'string' ? errnos[name] : undefined;
  if (value === undefined) throw new ProfileError(`${where}: no such error in "${nameKey}": ${JSON.stringify(name)}`);
  return value;
}
