/** Gets Debian's kernels: downloaded and unpacked under build/vm, never installed. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import type { Kernel } from './kernels.js';
import { bash, output } from './shell.js';

export interface FetchedKernel {
  /** As `uname -r` says there. */
  readonly release: string;
  readonly image: string;
  /** The directory of its modules. */
  readonly modules: string;
}

const store = 'build/vm/kernels';

/** The newest kernel of that flavour; kept for the next time. */
export function fetchKernel(kernel: Kernel): FetchedKernel {
  const name = newestPackage(kernel.metaPackage);
  const directory = `${store}/${name}`;
  if (!existsSync(directory)) unpack(name, directory);
  const image = readdirSync(`${directory}/boot`).find((file) => file.startsWith('vmlinuz-'));
  if (!image) throw new Error(`the package ${name} holds no kernel`);
  const release = image.slice('vmlinuz-'.length);
  return { release, image: `${directory}/boot/${image}`, modules: `${directory}/lib/modules/${release}` };
}

function newestPackage(metaPackage: string): string {
  const found = /Depends: (linux-image-\S+)/.exec(output('apt-cache', ['depends', metaPackage]))?.[1];
  if (!found) throw new Error(`Debian's archive has no ${metaPackage} (apt-get update?)`);
  return found;
}

function unpack(name: string, directory: string): void {
  const partial = `${directory}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  // Sandboxed downloading needs a directory that the user _apt may write.
  output('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: partial });
  bash('dpkg-deb -x "$1"/*.deb "$1" && rm "$1"/*.deb', [partial]);
  renameSync(partial, directory);
}
