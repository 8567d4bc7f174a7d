/** Profiles that hand a container's calls to the daemon of the test. */
import assert from 'node:assert/strict';
import { bpfns, runDir } from '../../support/host.js';
import { workDir } from './machine.js';

/** The socket that profiles name. */
export const listenerPath = `${runDir}/seccomp.sock`;

/** Writes a profile for the daemon. @returns its path */
export function writeProfile(name: string, args: readonly string[] = []): string {
  const path = `${workDir}/${name}.json`;
  const { status, stderr } = bpfns(['profile', '--listener', listenerPath, '--output', path, ...args]);
  assert.equal(status, 0, stderr);
  return path;
}
