/** Tar files of Debian's packages, for tests that need more of Debian than the host has installed. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { output } from './vm/shell.js';

export type Release = 'bookworm' | 'trixie';
/** With `extract` packages are unpacked and not set up. */
export type Variant = 'minbase' | 'extract';

/** A root with Docker. */
export const dockerPackages = ['base-files', 'docker.io', 'docker-cli'];
/** A root with a bpftool that knows BPF tokens. */
export const bpftoolPackages = ['base-files', 'bpftool'];

/**
 * A tar file of these packages and what they need, in build/roots. One that an earlier run has made is used again. To
 * be called in the repository. @returns its path
 * @throws Error if mmdebstrap fails
 */
export function tarOf(suite: Release, packages: readonly string[], variant: Variant = 'minbase'): string {
  const tar = resolve(`build/roots/${suite}-${variant}-${packages.join('-')}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync('build/roots', { recursive: true });
  const fresh = `${tar}.new`;
  rmSync(fresh, { force: true });
  const options = ['--quiet', `--variant=${variant}`, '--format=tar', `--include=${packages.join(',')}`];
  output('mmdebstrap', [...options, suite, fresh], { timeout: 900_000 });
  renameSync(fresh, tar);
  return tar;
}
