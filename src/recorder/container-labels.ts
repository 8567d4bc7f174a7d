/**
 * The labels of a namespace's containers, in a file beside the recorder's maps. The host's view
 * reads them without the agent, and the next agent has them too.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { paths } from '../config/paths.js';
import type { ContainerLabels } from '../model/container.js';
import { processIdentity } from '../sys/pids.js';

/** What is stored about a container. */
export interface KnownContainer extends ContainerLabels {
  /** The process that the container began with, as named by processIdentity(). */
  readonly init: string;
}

const pathOf = (namespaceId: number): string => `${paths.containers}/${namespaceId}.json`;

/** The labels of the containers in the namespace, or of the last one; empty if no runtime created it. */
export function readLabels(namespaceId: number): readonly ContainerLabels[] {
  return readContainers(namespaceId).map(({ id, pod, podNamespace, container }) => ({
    id,
    pod,
    podNamespace,
    container,
  }));
}

export function readContainers(namespaceId: number): readonly KnownContainer[] {
  try {
    return JSON.parse(readFileSync(pathOf(namespaceId), 'utf8')) as KnownContainer[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Written completely or not at all. */
export function writeContainers(namespaceId: number, known: readonly KnownContainer[]): void {
  mkdirSync(paths.containers, { recursive: true, mode: 0o700 });
  const path = pathOf(namespaceId);
  writeFileSync(`${path}.new`, JSON.stringify(known), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Called when the namespace is gone. */
export function removeLabels(namespaceId: number): void {
  rmSync(pathOf(namespaceId), { force: true });
}

/** Whether the process that a container began with still runs. */
export function isRunning({ init }: KnownContainer): boolean {
  return init !== '' && processIdentity(Number.parseInt(init, 10)) === init;
}
