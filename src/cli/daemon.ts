/** Prepares `bpfns daemon`. */
import { existsSync } from 'node:fs';
import { type Config, defaultConfig } from '../config/config.js';
import { groupId } from '../config/group.js';
import { ConfigError, defaultConfigPath, loadConfig } from '../config/load.js';
import { CliError } from './cli-error.js';

/**
 * Reads the given configuration file, or the default one if it exists. @throws CliError with every error in it. What
 * the agent could not do would have it started again and again.
 */
export function daemonConfig(path: string | undefined): Config {
  if (path === undefined && !existsSync(defaultConfigPath)) return defaultConfig;
  const file = path ?? defaultConfigPath;
  try {
    const config = loadConfig(file);
    const group = config.control['read-only-group'];
    if (group !== undefined && groupId(group) === undefined) {
      throw new ConfigError(`${file}: control.read-only-group: there is no group '${group}': groupadd(8) makes one`);
    }
    return config;
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message);
    throw error;
  }
}
