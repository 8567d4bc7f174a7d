/** Builds the guest's root file system: an initramfs of installed packages, Node and the built project. */
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { FetchedKernel } from './fetch.js';
import { modules } from './kernels.js';
import { bash, output } from './shell.js';

/** Whose programs the tests call; tools/setup.sh installs them. */
const packages = [
  'bash bpftool bpftrace busybox-static coreutils dash findutils grep iproute2 libbpf1',
  'libcap2-bin mount perl-base procps sed strace util-linux',
].flatMap((line) => line.split(' '));

/** What of the project runs in the guest, at /bpfns. */
const project = [
  'package.json',
  'bin',
  'bpf',
  'docs',
  'build/lib',
  'build/js',
  'build/bpf',
  'build/guests',
  'src/sys/contract.gen.ts',
];
const nodeModules = ['commander', 'koffi', '@koromix', 'fast-check', 'pure-rand'];

const base = 'build/vm/base';

/** The part that all kernels share. Returns the archive's path. */
export function buildBase(): string {
  rmSync(base, { recursive: true, force: true });
  for (const directory of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(`${base}/usr/${directory}`, { recursive: true });
    symlinkSync(`usr/${directory}`, `${base}/${directory}`);
  }
  copyFromHost([realpathSync(process.execPath), ...packages.flatMap(filesOf)]);
  symlinkIfAbsent(realpathSync(process.execPath), `${base}/usr/bin/node`);
  for (const path of project) if (existsSync(path)) cpSync(path, `${base}/bpfns/${path}`, { recursive: true });
  for (const name of nodeModules) {
    cpSync(`node_modules/${name}`, `${base}/bpfns/node_modules/${name}`, { recursive: true });
  }
  mkdirSync(`${base}/etc`);
  writeFileSync(`${base}/etc/passwd`, 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  writeFileSync(`${base}/etc/group`, 'root:x:0:\nnogroup:x:65534:\n');
  cpSync('tools/vm/init.sh', `${base}/init`);
  return pack(base);
}

/** What differs from boot to boot: the kernel's modules and what is to be run. Writes the whole initramfs. */
export function buildInitramfs(shared: string, kernel: FetchedKernel, command: string, into: string): void {
  const extra = 'build/vm/extra';
  rmSync(extra, { recursive: true, force: true });
  const target = `${extra}/usr/lib/modules/${kernel.release}`;
  mkdirSync(target, { recursive: true });
  mkdirSync(`${extra}/etc`);
  for (const path of readdirSync(kernel.modules, { recursive: true, encoding: 'utf8' })) {
    if (modules.some((name) => path.endsWith(`/${name}.ko`) || path.endsWith(`/${name}.ko.xz`))) {
      cpSync(`${kernel.modules}/${path}`, `${target}/${path}`, { recursive: true });
    }
  }
  // The guest's modprobe takes no compressed modules.
  bash('find "$1" -name "*.xz" -exec xz -d {} +', [target]);
  writeFileSync(`${extra}/etc/modules`, modules.join('\n'));
  writeFileSync(`${extra}/etc/run`, command);
  // The kernel unpacks archives that follow one another into the same root.
  bash('cat "$1" "$2" >"$3"', [shared, pack(extra), into]);
}

function pack(directory: string): string {
  const archive = `${directory}.cpio`;
  bash('cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 >"$2"', [directory, `../${archive.split('/').at(-1)}`]);
  return archive;
}

/** A package's files without its documentation and its service units. */
function filesOf(name: string): string[] {
  return output('dpkg', ['-L', name])
    .split('\n')
    .filter((path) => /^\/(usr\/)?(s?bin|lib\/x86_64-linux-gnu(\/perl-base(\/.*)?)?)\/[^/]+$/.test(path))
    .filter((path) => statSync(path).isFile());
}

/** Copies files, with what symbolic links among them point to and the libraries that they need. */
function copyFromHost(files: readonly string[]): void {
  const closure = new Set<string>();
  for (const path of [...files, ...librariesOf(files)]) {
    closure.add(path);
    closure.add(realpathSync(path));
  }
  bash('tar -C / -c --no-recursion -T - | tar -C "$1" -x --keep-directory-symlink', [base], {
    input: [...closure].map((path) => path.slice(1)).join('\n'),
  });
}

/** The libraries that the programs among some files need. */
function librariesOf(files: readonly string[]): string[] {
  // One ldd for all: it takes longer to start than to look. A statically linked program makes it fail, and needs none.
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

function symlinkIfAbsent(target: string, path: string): void {
  if (!existsSync(path)) symlinkSync(target, path);
}
