/** The output of bpftool in a container, and of bpfns on the host. */
import assert from 'node:assert/strict';
import { bpfns } from '../../support/host.js';
import type { Container } from './engine.js';

/** A shell command that makes a map and keeps it. */
export const create = (name: string): string =>
  `bpftool map create /pins/${name} type hash key 4 value 4 entries 8 name ${name}`;

/** The ids and names that bpftool lists. */
export async function listed(container: Container, kind = 'map'): Promise<Array<[id: number, name: string]>> {
  const { status, stdout, stderr } = await container.exec(['/bin/bpftool', '-j', kind, 'list']);
  assert.equal(status, 0, stderr);
  return (JSON.parse(stdout) as Array<{ id: number; name: string }>).map(({ id, name }) => [id, name]);
}

export async function sh(container: Container, script: string): Promise<string> {
  const { status, stdout, stderr } = await container.exec(['/bin/sh', '-ec', script]);
  assert.equal(status, 0, stderr);
  return stdout;
}

/** The names of the maps that a namespace and those below it own, as the host sees them. */
export function mapsOf(namespace: string): string[] {
  const { stdout } = bpfns(['map', 'list', '--ns', namespace, '--json']);
  return (JSON.parse(stdout) as { objects: Array<{ name: string }> }).objects.map(({ name }) => name);
}
