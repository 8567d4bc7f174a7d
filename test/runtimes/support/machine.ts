/** Everything that container tests put on the machine, and the check that it is gone. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { run, until } from '../../support/host.js';
import { makeImage, makeRoot, sleepSeconds } from './root-file-system.js';

/** The directory of everything. Its name also marks our processes. */
export const workDir = mkdtempSync('/tmp/bpfns-runtimes-');
export const rootDir = `${workDir}/root`;
const sleep = `sleep\0${sleepSeconds}\0`;
export const imageTar = `${workDir}/image.tar`;

/** Makes the root file system and the image, once per test file. */
function makeFiles(): void {
  if (existsSync(imageTar)) return;
  mkdirSync(rootDir);
  makeRoot(rootDir);
  makeImage(rootDir, imageTar);
}

/** Creates a directory in bpffs for the pins of a container. @returns its path on the host */
export function makePins(name: string): string {
  const path = `/sys/fs/bpf/bpfns-runtimes-${process.pid}-${name}`;
  mkdirSync(path);
  return path;
}

/** What engines may leave on a machine. */
interface Leftovers {
  readonly cgroups: readonly string[];
  readonly mounts: readonly string[];
  readonly processes: readonly string[];
  readonly pins: readonly string[];
  readonly stateDirectories: readonly string[];
}

const containers = new Set<string>();

/** Registers a container, whose cgroups and state directories are checked at the end. @returns its id */
export function note(id: string): string {
  containers.add(id);
  return id;
}

function leftovers(): Leftovers {
  const isOurs = (path: string): boolean => [...containers].some((id) => path.includes(id));
  return {
    cgroups: run(['find', '/sys/fs/cgroup', '-mindepth', '2', '-type', 'd']).stdout.split('\n').filter(isOurs),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(workDir)),
    processes: readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isContainerProcess(pid)),
    pins: readdirSync('/sys/fs/bpf').filter((name) => name.includes(`runtimes-${process.pid}-`)),
    stateDirectories: run(['find', '/run', '/var/lib', '-maxdepth', '5']).stdout.split('\n').filter(isOurs),
  };
}

/** Processes of containers, and shims and monitors with our directory or a container's id among their arguments. */
function isContainerProcess(pid: string): boolean {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    if ([...containers].some((id) => command.includes(id))) return true;
    return command.includes(workDir) || command.includes(`bpfns-${process.pid}-`) || command.includes(sleep);
  } catch {
    return false;
  }
}

/**
 * Checks that no container, process, mount or cgroup of ours is left. Use it in a `describe` around
 * one with hooks of its own.
 */
export function leavesNoContainersBehind(): void {
  before(() => makeFiles());
  after(async () => {
    const nothing = { cgroups: [], mounts: [], processes: [], pins: [], stateDirectories: [] };
    await until(() => isDeepStrictEqual(leftovers(), nothing), '').catch(() => undefined);
    assert.deepEqual(leftovers(), nothing);
  });
}

process.on('exit', () => rmSync(workDir, { recursive: true, force: true }));
