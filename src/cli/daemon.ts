/** Prepares `bpfns daemon`. */
import { existsSync } from 'node:fs';
import { type Config, defaultConfig } from '../config/config.js';
import { ConfigError, defaultConfigPath, loadConfig } from '../config/load.js';
import { CliError } from './cli-error.js';

/** Reads the given configuration file, or the default one if it exists. @throws CliError with every error in it */
export function daemonConfig(path: string | undefined): Config {
  if (path === undefined && !existsSync(defaultConfigPath)) return defaultConfig;
  try {
    return loadConfig(path ?? defaultConfigPath);
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message);
    throw error;
  }
}
