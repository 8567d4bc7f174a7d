/** Fresh roots of Debian's releases, each with mounts of its own: what a user's machine has, and nothing of ours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type Release, tarOf } from '../../tools/debian-tar.js';
import { type Outcome, run, until } from './host.js';

export class DebianRoot {
  /** On the host. */
  readonly path: string;
  readonly #holder: ChildProcess;

  private constructor(path: string, holder: ChildProcess) {
    this.path = path;
    this.#holder = holder;
  }

  /** Unpacks it, and mounts the host's /proc and /sys in it. Until {@link close}. */
  static async make(suite: Release, packages: readonly string[]): Promise<DebianRoot> {
    const path = mkdtempSync(`${tmpdir()}/bpfns-${suite}-`);
    process.once('exit', () => rmSync(path, { recursive: true, force: true }));
    const { status, stderr } = run(['tar', '-C', path, '-xf', tarOf(suite, packages)]);
    if (status !== 0) throw new Error(`tar: ${stderr}`);
    // apt-get works in it too, as on this machine.
    const script = `mount --rbind /proc "$0/proc"; mount --rbind /sys "$0/sys"; mount --rbind /dev "$0/dev"
      mount -t tmpfs none "$0/run"; mount -t tmpfs none "$0/tmp"; echo ready; read -r _`;
    const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script, path]);
    let output = '';
    for (const stream of [holder.stdout, holder.stderr]) stream.on('data', (data) => (output += String(data)));
    await until(() => output.includes('ready') || holder.exitCode !== null, 'the root has no mounts');
    if (holder.exitCode !== null) throw new Error(output);
    return new DebianRoot(path, holder);
  }

  /** What is put in front of a command of this machine that is to see the mounts of the root, below {@link path}. */
  get besideIt(): readonly string[] {
    return ['nsenter', '--mount', '--target', String(this.#holder.pid)];
  }

  /** The command of the host that runs this one in it. */
  command(command: readonly string[], variables: NodeJS.ProcessEnv = {}): string[] {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
    const settings = Object.entries({ ...env, ...variables }).map(([key, value]) => `${key}=${value ?? ''}`);
    return [...this.besideIt, 'chroot', this.path, 'env', '--ignore-environment', ...settings, ...command];
  }

  /** Runs a program in it. */
  run(command: readonly string[], options: Parameters<typeof run>[1] = {}): Outcome {
    return run(this.command(command, options.env), options);
  }

  /** The same, in a shell. @throws Error if it fails @returns what it printed */
  sh(script: string): string {
    const { status, stdout, stderr } = this.run(['sh', '-ec', script], { timeoutSeconds: 300 });
    if (status !== 0) throw new Error(`exit status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Copies a file of the host into it. */
  add(from: string, to: string): void {
    mkdirSync(`${this.path}${to.slice(0, to.lastIndexOf('/'))}`, { recursive: true });
    copyFileSync(from, this.path + to);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#holder.once('close', resolve));
    this.#holder.stdin?.end('\n');
    await ended;
    rmSync(this.path, { recursive: true });
  }
}

/**
 * A package `nodejs` of the Node that runs this, in place of the one that users of Debian 12 take from NodeSource.
 * @returns its path
 */
export function packNode(directory: string): string {
  const stage = `${directory}/nodejs`;
  mkdirSync(`${stage}/DEBIAN`, { recursive: true });
  mkdirSync(`${stage}/usr/bin`, { recursive: true });
  copyFileSync(process.execPath, `${stage}/usr/bin/node`);
  const architecture = run(['dpkg', '--print-architecture']).stdout.trim();
  const fields = [
    'Package: nodejs',
    `Version: ${process.versions.node}-1nodesource1`,
    `Architecture: ${architecture}`,
    'Maintainer: nobody <nobody@localhost>',
    'Depends: libc6, libstdc++6',
    'Description: the Node that runs the tests',
  ];
  writeFileSync(`${stage}/DEBIAN/control`, `${fields.join('\n')}\n`);
  const file = `${directory}/nodejs.deb`;
  const { status, stderr } = run(['dpkg-deb', '-Znone', '--root-owner-group', '--build', stage, file]);
  if (status !== 0) throw new Error(stderr);
  return file;
}

/** The same package under another version, as the next release would be. @returns its path */
export function nextVersion(deb: string, version: string, directory: string): string {
  const stage = `${directory}/next`;
  run(['dpkg-deb', '--raw-extract', deb, stage]);
  const control = readFileSync(`${stage}/DEBIAN/control`, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`);
  writeFileSync(`${stage}/DEBIAN/control`, control);
  const file = `${directory}/next.deb`;
  const { status, stderr } = run(['dpkg-deb', '-Znone', '--root-owner-group', '--build', stage, file]);
  if (status !== 0) throw new Error(stderr);
  return file;
}
