/**
 * The programs of the guest's root file system. For this machine's architecture they are the host's
 * installed packages and Node. For another they come from Debian's archive.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { type Source, unpackWithDependencies } from './archive.js';
import { bash, output } from './shell.js';

/** The packages whose programs the tests call; tools/setup.sh installs them. */
const packages = [
  'bash bpftool bpftrace busybox-static coreutils dash findutils grep iproute2 libbpf1',
  'libc-bin libcap2-bin mount perl-base procps sed strace util-linux',
].flatMap((line) => line.split(' '));

/** Further packages for machines of the host's architecture. */
const hostPackages = ['libxdp1', 'xdp-tools'];

/** Further packages for test/runtimes. */
const enginePackages = [
  'conmon containerd containernetworking-plugins crun golang-github-containers-common golang-github-containers-image',
  'podman runc systemd tar uidmap',
].flatMap((line) => line.split(' '));

/** Copies what the host has installed into an empty directory. */
export function copyHost(root: string, withEngines: boolean): void {
  for (const directory of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(`${root}/usr/${directory}`, { recursive: true });
    symlinkSync(`usr/${directory}`, `${root}/${directory}`);
  }
  const node = realpathSync(process.execPath);
  const all = [...packages, ...hostPackages, ...(withEngines ? enginePackages : [])];
  copyFromHost([node, ...all.flatMap(filesOf)], root);
  if (!existsSync(`${root}/usr/bin/node`)) symlinkSync(node, `${root}/usr/bin/node`);
}

/**
 * Unpacks packages of the archive into a directory, which is kept for the next run. Debian has Node
 * 20 since trixie. bpftrace is missing, since its compiler is half of the image; the tests that
 * call it are for machines of the host's architecture.
 */
export function copyArchive({ architecture }: Pick<Source, 'architecture'>, root: string): void {
  const store = `build/vm/roots/${architecture}`;
  if (!existsSync(store)) {
    const partial = `${store}.partial`;
    rmSync(partial, { recursive: true, force: true });
    unpackWithDependencies(
      { suite: 'trixie', architecture },
      ['base-files', 'nodejs', ...packages.filter((name) => name !== 'bpftrace')],
      partial,
    );
    bash('cd "$1"/usr/share && rm -rf doc info locale man perl5 bash-completion zoneinfo', [partial]);
    renameSync(partial, store);
  }
  mkdirSync(root, { recursive: true });
  bash('cp -a "$1"/. "$2"', [store, root]);
}

const programs = /^\/(usr\/)?(s?bin|lib\/[a-z0-9_]+-linux-gnu(\/bpf|\/perl-base(\/.*)?)?)\/[^/]+$/;
/** Further files of container engines, and systemd itself, which is in no directory of programs. */
const settings =
  /^\/(etc|usr\/share|usr\/lib|usr\/libexec)\/(containers|podman|cni)\/|^(\/usr)?\/lib\/systemd\/systemd[^/]*$/;

/** The files of a package, without documentation and service units. */
function filesOf(name: string): string[] {
  return output('dpkg', ['-L', name])
    .split('\n')
    .filter((path) => programs.test(path) || settings.test(path))
    .filter((path) => statSync(path).isFile());
}

/** Copies files, the targets of symbolic links among them, and the libraries that they need. */
function copyFromHost(files: readonly string[], root: string): void {
  const closure = new Set<string>();
  for (const path of [...files, ...librariesOf(files)]) {
    closure.add(path);
    closure.add(realpathSync(path));
  }
  bash('tar -C / -c --no-recursion -T - | tar -C "$1" -x --keep-directory-symlink', [root], {
    input: [...closure].map((path) => path.slice(1)).join('\n'),
  });
}

/** The libraries that programs among the files need. */
function librariesOf(files: readonly string[]): string[] {
  // One ldd for all, since most of its time is start-up. It fails on a statically linked program,
  // which needs no library.
  const text = output('bash', ['-c', 'ldd "$@" 2>/dev/null || true', 'bash', ...files.filter(isElf)]);
  return [...text.matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(([, library]) => library ?? '');
}

function isElf(path: string): boolean {
  const start = Buffer.alloc(4);
  const fd = openSync(path, 'r');
  readSync(fd, start);
  closeSync(fd);
  return start.toString('latin1') === '\x7fELF';
}
