/** Downloads Debian's kernels and unpacks them under build/vm. Nothing is installed. */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dependencies, unpack } from './archive.js';
import type { Kernel } from './kernels.js';

export interface FetchedKernel {
  /** As printed by `uname -r` on that kernel. */
  readonly release: string;
  readonly image: string;
  /** The directory of its modules. */
  readonly modules: string;
}

const store = 'build/vm/kernels';

/** Gets the newest kernel of a flavour in its suite, and keeps it for the next run. */
export function fetchKernel(kernel: Kernel): FetchedKernel {
  const name = dependencies(kernel, kernel.metaPackage).find((each) => each.startsWith('linux-image-'));
  if (!name) throw new Error(`Debian's ${kernel.suite} has no ${kernel.metaPackage}`);
  const directory = `${store}/${name}`;
  if (!existsSync(directory)) {
    // Since 6.19 the image's package is empty: it depends on one with the kernel and one with its modules.
    const parts = dependencies(kernel, name).filter((each) => /^linux-(binary|modules)-/.test(each));
    const partial = `${directory}.partial`;
    rmSync(partial, { recursive: true, force: true });
    unpack(kernel, parts.length > 0 ? parts : [name], partial);
    renameSync(partial, directory);
  }
  return found(directory, name);
}

function found(directory: string, name: string): FetchedKernel {
  const lib = [`${directory}/usr/lib/modules`, `${directory}/lib/modules`].find((path) => existsSync(path));
  const release = lib && readdirSync(lib)[0];
  if (!release) throw new Error(`the package ${name} holds no kernel`);
  const modules = `${lib}/${release}`;
  const image = [`${modules}/vmlinuz`, `${directory}/boot/vmlinuz-${release}`].find((path) => existsSync(path));
  if (!image) throw new Error(`the package ${name} holds no kernel`);
  return { release, image, modules };
}
