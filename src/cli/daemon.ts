/** Prepares `bpfns daemon`. */
import { existsSync } from 'node:fs';
import { type Config, defaultConfig } from '../config/config.js';
import { NoSuchGroup, readOnlyGroup } from '../config/group.js';
import { ConfigError, defaultConfigPath, loadConfig } from '../config/load.js';
import { CliError } from './cli-error.js';

/**
 * Reads the given configuration file, or the default one if it exists. @throws CliError with every error in it; or if
 * its group does not exist: the agent would fail, and be started again and again
 */
export function daemonConfig(path: string | undefined): Config {
  if (path === undefined && !existsSync(defaultConfigPath)) return defaultConfig;
  const file = path ?? defaultConfigPath;
  try {
    const config = loadConfig(file);
    readOnlyGroup(config);
    return config;
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message);
    if (error instanceof NoSuchGroup) throw new CliError(`${file}: ${error.message}`);
    throw error;
  }
}
