/** `bpfns profile`: a seccomp profile for container engines. */
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants, release } from 'node:os';
import { isAbsolute } from 'node:path';
import { baseProfilePaths, builtInBase } from '../filter/base-profile.js';
import { makeProfile } from '../filter/profile.js';
import { type BaseProfile, ProfileError, parseProfile } from '../filter/profile-format.js';
import { nativeFor, trappedFor } from '../filter/trapped.js';
import { parseDelegation } from '../model/delegation.js';
import type { TracingMode } from '../model/namespaces.js';
import { CliError } from './cli-error.js';
import { json } from './output.js';

export interface ProfileFlags {
  readonly base?: string;
  readonly listener: string;
  readonly metadata: string;
  readonly capAdd: string;
  readonly nesting: boolean;
  readonly stats: boolean;
  /** As model/delegation.ts reads it. */
  readonly delegate?: string;
  readonly tracing?: TracingMode;
  readonly waitKillable: boolean;
  readonly output?: string;
}

/**
 * Writes the profile to a file, or returns it.
 * @param say gets a line for each change made to the base
 * @throws CliError
 */
export function profile(flags: ProfileFlags, say: (line: string) => void): string {
  if (flags.delegate !== undefined && (flags.tracing ?? 'host') !== 'host') {
    throw new CliError(`a BPF token is not bound by --tracing=${flags.tracing}`);
  }
  if (!isAbsolute(flags.listener)) throw new CliError(`--listener ${flags.listener}: not an absolute path`);
  const { name, base } = readBase(flags.base);
  const { profile: made, changes } = explain(name, () => makeProfile(base, optionsOf(flags)));
  say(`base: ${name}`);
  for (const change of changes) say(change);
  const text = json(made);
  if (flags.output === undefined || flags.output === '-') return text;
  write(flags.output, `${text}\n`);
  return '';
}

function optionsOf(flags: ProfileFlags): Parameters<typeof makeProfile>[1] {
  const { tracing = 'host' } = flags;
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return {
    listenerPath: flags.listener,
    metadata: metadataOf(flags),
    capabilities: capabilities(flags.capAdd),
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    kernel: [major, minor],
    trapped: trappedFor(tracing, flags.stats),
    native: nativeFor(tracing, flags.stats),
    perf: tracing !== 'host',
    nesting: flags.nesting,
    waitKillable: flags.waitKillable,
  };
}

function metadataOf({ metadata, tracing, delegate = '' }: ProfileFlags): string {
  const delegation = Object.entries(parseDelegation(delegate) ?? {}).map(([key, words]) => `delegate_${key}=${words}`);
  return [metadata, ...(tracing === undefined ? [] : [`tracing=${tracing}`]), ...delegation]
    .filter((each) => each !== '')
    .join(',');
}

/** "bpf,perfmon" in the spelling of profiles. */
function capabilities(list: string): string[] {
  return list
    .split(',')
    .filter((name) => name !== '')
    .map((name) => `CAP_${name.toUpperCase().replace(/^CAP_/, '')}`);
}

function readBase(path: string | undefined): { readonly name: string; readonly base: BaseProfile } {
  if (path !== undefined) return { name: path, base: parseFile(path, readFile(path)) };
  for (const each of baseProfilePaths) {
    const text = readIfThere(each);
    if (text !== undefined) return { name: each, base: parseFile(each, text) };
  }
  return { name: 'built in, which refuses little; --base takes the profile of your engine', base: builtInBase };
}

function parseFile(path: string, text: string): BaseProfile {
  return explain(path, () => parseProfile(text, constants.errno));
}

function explain<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof ProfileError) throw new CliError(`${path}: ${error.message}`);
    throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new CliError(error instanceof Error ? error.message : String(error));
  }
}

function readFile(path: string): string {
  const text = readIfThere(path);
  if (text === undefined) throw new CliError(`${path}: no such file`);
  return text;
}

/**
 * Whole or not at all, as a new file that takes the name: what stood there may be a link that
 * somebody else put into a directory that is not root's alone.
 */
function write(path: string, text: string): void {
  const temporary = `${path}.${randomUUID()}`;
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      throw new Error(`--output ${path}: there is something that is no regular file ('-' writes to stdout)`);
    }
    writeFileSync(temporary, text, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new CliError(error instanceof Error ? error.message : String(error));
  }
}
