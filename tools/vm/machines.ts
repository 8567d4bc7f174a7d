/** The emulated machines, one per architecture. */
import { arch } from 'node:os';
import type { Architecture } from './archive.js';

export interface Machine {
  readonly architecture: Architecture;
  /** Whether the host's own programs run there. */
  readonly isHosts: boolean;
  readonly qemu: string;
  readonly arguments: readonly string[];
  /** The kernel's console, and the tty for the guest's output. */
  readonly console: string;
  readonly tty: string;
  readonly kernelArguments: string;
}

const amd64: Machine = {
  architecture: 'amd64',
  isHosts: arch() === 'x64',
  qemu: 'qemu-system-x86_64',
  arguments: ['-cpu', 'max,la57=off', '-serial', 'chardev:console', '-serial', 'chardev:output'],
  console: 'ttyS0',
  tty: 'ttyS1',
  // The emulated TSC is the host's and a good clock, but the kernel takes it for unstable and would
  // choose a slow one. Retpolines and a fifth level of page tables would only cost time.
  kernelArguments: 'tsc=reliable spectre_v2=off retbleed=off',
};

const arm64: Machine = {
  architecture: 'arm64',
  isHosts: arch() === 'arm64',
  qemu: 'qemu-system-aarch64',
  // A CPU that clouds have. With all that qemu 7.2 can emulate (max), Node ended with SIGSEGV in 5 of 6 runs of a test.
  arguments: [
    ...['-M', 'virt', '-cpu', 'neoverse-n1'],
    ...['-serial', 'chardev:console', '-device', 'pci-serial,chardev=output'],
  ],
  console: 'ttyAMA0',
  tty: 'ttyS0',
  kernelArguments: '',
};

export const machines: Readonly<Record<Architecture, Machine>> = { amd64, arm64 };
