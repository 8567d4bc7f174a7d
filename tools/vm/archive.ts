/**
 * Debian's archive, for any suite and architecture. apt's settings, lists and downloads are under
 * build/vm/apt. The host's sources and installed packages are neither changed nor used.
 */
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { bash, output } from './shell.js';

export type Suite = 'bookworm' | 'trixie' | 'trixie-backports' | 'sid';
/** dpkg's name of the architecture. */
export type Architecture = 'amd64' | 'arm64';

export interface Source {
  readonly suite: Suite;
  readonly architecture: Architecture;
}

/** Debian's own keys, from the package debian-archive-keyring. */
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** The archive drops old packages, so lists are valid only this long. */
const MAX_AGE_MS = 6 * 3_600_000;

/** The names of a package's dependencies, including alternatives. */
export function dependencies(source: Source, name: string): string[] {
  const text = output('apt-cache', ['depends', '--important', name], { env: settings(source) });
  return [...text.matchAll(/^ [ |](?:Pre)?Depends: ([^<\s]+)/gm)].map(([, dependency]) => dependency ?? '');
}

/** Downloads packages, and unpacks them into one directory. */
export function unpack(source: Source, names: readonly string[], into: string): void {
  mkdirSync(into, { recursive: true });
  output('apt-get', ['-q', 'download', ...names], { cwd: into, env: settings(source) });
  bash('for deb in "$1"/*.deb; do dpkg-deb -x "$deb" "$1"; rm "$deb"; done', [into]);
}

/** Like {@link unpack}, with all dependencies. Nothing is configured. */
export function unpackWithDependencies(source: Source, names: readonly string[], into: string): void {
  const env = settings(source);
  const archives = `${directoryOf(source)}/archives`;
  rmSync(archives, { recursive: true, force: true });
  mkdirSync(`${archives}/partial`, { recursive: true });
  const options = ['-q', '-y', '--no-install-recommends', '--download-only'];
  output('apt-get', [...options, 'install', ...names], { env });
  mkdirSync(into, { recursive: true });
  bash('for deb in "$1"/*.deb; do dpkg-deb -x "$deb" "$2"; rm "$deb"; done', [archives, into]);
}

function directoryOf({ suite, architecture }: Source): string {
  return resolve(`build/vm/apt/${suite}-${architecture}`);
}

/** The environment in which apt sees only this suite, with lists that are recent enough. */
function settings(source: Source): NodeJS.ProcessEnv {
  const directory = directoryOf(source);
  const file = `${directory}/apt.conf`;
  const updated = `${directory}/updated`;
  const env = { ...process.env, APT_CONFIG: file };
  if (existsSync(updated) && Date.now() - statSync(updated).mtimeMs < MAX_AGE_MS) return env;
  rmSync(directory, { recursive: true, force: true });
  for (const part of ['lists/partial', 'archives/partial']) mkdirSync(`${directory}/${part}`, { recursive: true });
  writeFileSync(`${directory}/status`, '');
  writeFileSync(`${directory}/sources.list`, sourcesOf(source));
  writeFileSync(file, configuration(directory, source.architecture));
  output('apt-get', ['-q', 'update'], { env });
  writeFileSync(updated, '');
  return env;
}

function configuration(directory: string, architecture: Architecture): string {
  const options = {
    'Dir::Etc::sourcelist': `${directory}/sources.list`,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': directory,
    'Dir::State::status': `${directory}/status`,
    'Dir::Cache': directory,
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Update::Error-Mode': 'any',
    // A sandboxed download needs directories that the user _apt can write to.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  };
  return Object.entries(options)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join('');
}

/** The suite from the host's mirror; for a release, also its security updates. */
function sourcesOf({ suite }: Source): string {
  const targets = output('apt-get', ['indextargets', '--format', '$(ORIGIN) $(RELEASE) $(REPO_URI)']).split('\n');
  const mirror = (ending: RegExp): string | undefined =>
    targets
      .map((line) => line.split(' '))
      .find(([origin, release]) => origin === 'Debian' && ending.test(release ?? ''))?.[2];
  const archive = mirror(/^[a-z]+$/) ?? 'http://deb.debian.org/debian';
  const security = mirror(/-security$/) ?? 'http://deb.debian.org/debian-security';
  const line = (uri: string, release: string): string => `deb [signed-by=${keyring}] ${uri} ${release} main\n`;
  const isRelease = suite === 'bookworm' || suite === 'trixie';
  return line(archive, suite) + (isRelease ? line(security, `${suite}-security`) : '');
}
