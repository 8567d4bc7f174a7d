/** Builds the guest's root file system: an initramfs of programs, Node and the built project. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { bpftoolPackages, dockerPackages, tarOf } from '../debian-tar.js';
import type { FetchedKernel } from './fetch.js';
import { modules } from './kernels.js';
import type { Machine } from './machines.js';
import { copyArchive, copyHost } from './root.js';
import { bash } from './shell.js';

/** The parts of the project that the guest gets at /bpfns. */
const project = [
  'package.json',
  'bin',
  'bpf',
  'docs',
  'examples',
  'packaging',
  'build/lib',
  'build/js',
  'build/bpf',
  'build/guests',
  'build/other/bin',
  'build/other/build/lib',
  'src/sys/contract.gen.ts',
  'test/runtimes/support/cri.proto',
];
/** What builds and checks the project, and is large. */
const buildTools =
  /^node_modules\/(@biomejs|@esbuild|@oxlint.*|@rumdl|@types|@typescript|esbuild|oxlint.*|rumdl|typescript|\.bin)\b/;

/**
 * Builds the part that all kernels of an architecture share. Container engines are only on machines of the
 * host's. @returns the path of the archive
 */
export function buildBase({ architecture, isHosts }: Machine, withEngines: boolean): string {
  const base = `build/vm/base-${architecture}`;
  rmSync(base, { recursive: true, force: true });
  if (isHosts) copyHost(base, withEngines);
  else copyArchive({ architecture }, base);
  // Another architecture gets only the eBPF objects of the guests, which run everywhere.
  const filter = (path: string): boolean => isHosts || !path.startsWith('build/guests/') || path.endsWith('.bpf.o');
  for (const path of project) if (existsSync(path)) cpSync(path, `${base}/bpfns/${path}`, { recursive: true, filter });
  const isNeeded = (path: string): boolean => !buildTools.test(path);
  cpSync('node_modules', `${base}/bpfns/node_modules`, { recursive: true, filter: isNeeded });
  const native = isHosts ? 'node_modules' : foreignModules(architecture);
  cpSync(`${native}/@koromix`, `${base}/bpfns/node_modules/@koromix`, { recursive: true });
  if (!isHosts) compileGuests(architecture, base);
  if (withEngines && isHosts) for (const tar of downloads()) cpSync(tar, `${base}/bpfns/${relative('.', tar)}`);
  mkdirSync(`${base}/etc`, { recursive: true });
  writeFileSync(`${base}/etc/passwd`, 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  writeFileSync(`${base}/etc/group`, 'root:x:0:\ngames:x:60:\nnogroup:x:65534:\n');
  // A file that users cannot read.
  writeFileSync(`${base}/etc/shadow`, '', { mode: 0o600 });
  // containerd copies these into pods.
  writeFileSync(`${base}/etc/hostname`, 'vm\n');
  writeFileSync(`${base}/etc/hosts`, '127.0.0.1 localhost\n');
  writeFileSync(`${base}/etc/resolv.conf`, '');
  cpSync('tools/vm/init.sh', `${base}/init`);
  return pack(base);
}

/** What test/runtimes take from Debian's archive, which machines do not reach. */
function downloads(): string[] {
  return [dockerPackages, bpftoolPackages].map((packages) => tarOf('trixie', packages, 'extract'));
}

/** Builds the tests' guests for the architecture, except those that work only on x86 or need more than libbpf. */
function compileGuests(architecture: string, base: string): void {
  const compiler = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[architecture] ?? '';
  bash(
    `for source in test/guests/*.c; do
       case $source in *.bpf.c) continue ;; esac
       ! grep -q -e '"syscall"' -e '<xdp/' "$source" || continue
       "$1-gcc" -O1 -g -pthread -idirafter /usr/include -o "$2/bpfns/build/guests/$(basename "$source" .c)" "$source" \
         "$2/usr/lib/$1/libbpf.so.1" -Wl,--allow-shlib-undefined
     done
     for source in test/guests/*.go; do
       GO111MODULE=off CGO_ENABLED=0 GOARCH="$3" go build -o "$2/bpfns/build/guests/$(basename "$source" .go)" "$source"
     done`,
    [compiler, base, architecture],
  );
}

/** What npm installs on another architecture, by the same lock file. */
function foreignModules(architecture: string): string {
  const directory = `build/vm/npm-${architecture}`;
  mkdirSync(directory, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(file, `${directory}/${file}`);
  bash('cd "$1" && npm ci --silent --no-progress --ignore-scripts --omit=dev --os=linux --cpu="$2"', [
    directory,
    architecture,
  ]);
  return `${directory}/node_modules`;
}

/** Adds what differs between boots, the kernel's modules and the command to run, and writes the whole initramfs. */
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
  // The guest's modprobe cannot read compressed modules.
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
