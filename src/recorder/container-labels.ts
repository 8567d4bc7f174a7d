/**
 * The labels of a namespace's containers, in a file beside the recorder's maps: so that the
 * host's view has them without asking the agent, and the next agent has them too.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { paths } from '../config/paths.js';
import type { ContainerLabels } from '../model/container.js';
import { processIdentity } from '../sys/pids.js';

/** What is kept of a container. */
export interface KnownContainer extends ContainerLabels {
  /** The process that it began with, as processIdentity() names it. */
  readonly init: string;
}

const pathOf = (namespaceId: number): string => `${paths.containers}/${namespaceId}.json`;

/** Of the containers that are in the namespace, or the last that was; empty if no runtime made it. */
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

/** Whole or not at all. */
export function writeContainers(namespaceId: number, known: readonly KnownContainer[]): void {
  mkdirSync(paths.containers, { recursive: true, mode: 0o700 });
  const path = pathOf(namespaceId);
  writeFileSync(`${path}.new`, JSON.stringify(known), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The namespace is gone. */
export function removeLabels(namespaceId: number): void {
  rmSync(pathOf(namespaceId), { force: true });
}

/** Whether the process that a container began with still runs. */
export function isRunning({ init }: KnownContainer): boolean {
  return init !== '' && processIdentity(Number.parseInt(init, 10)) === init;
}
