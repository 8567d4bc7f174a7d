/** Asks the container engines of this machine for their versions. */
import { spawnSync } from 'node:child_process';
import { detectEngines, type EngineReport } from '../oci/engines.js';

const PATIENCE_MS = 5000;

/** A report on each engine that is installed. */
export function installedEngines(): EngineReport[] {
  return detectEngines((program, args) => {
    const { error, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: PATIENCE_MS });
    return error ? undefined : stdout;
  });
}
