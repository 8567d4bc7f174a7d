/** Reads a configuration file. Reports every error with its place and what was expected. */
import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { type Config, checkConfig, InvalidConfig } from './config.js';

export const defaultConfigPath = '/etc/bpfns/bpfns.toml';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** @throws ConfigError with one line per error: FILE:LINE: KEY: what was expected */
export function loadConfig(path: string): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  return parseConfig(text, path);
}

/** @param path for messages only @throws ConfigError like {@link loadConfig} */
export function parseConfig(text: string, path: string): Config {
  const value = parseToml(text, path);
  try {
    return checkConfig(value);
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error;
    const lines = error.problems.map(({ key, expected }) => {
      const problem = expected === 'no such key' ? 'there is no such key' : `expected ${expected}`;
      return `${path}:${lineOf(text, key)}: ${key.join('.')}: ${problem}`;
    });
    throw new ConfigError(lines.join('\n'));
  }
}

function parseToml(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new ConfigError(`${path}:${error.line}:${error.column}: ${what}`);
  }
}

/** The line that sets a key, or on which a table begins; 1 if the key is written in an unusual way. */
function lineOf(text: string, key: readonly string[]): number {
  const wanted = key.join('.');
  let table = '';
  for (const [index, line] of text.split('\n').entries()) {
    const [, header] = /^\s*\[+\s*([^\]]+?)\s*\]+/.exec(line) ?? [];
    const [, name] = /^\s*([\w."'-]+(?:\s*\.\s*[\w"'-]+)*)\s*=/.exec(line) ?? [];
    if (header !== undefined) table = plain(header);
    else if (name === undefined) continue;
    const here = name === undefined ? table : [table, plain(name)].filter((part) => part !== '').join('.');
    if (here === wanted || here.startsWith(`${wanted}.`)) return index + 1;
  }
  // The key is in an inline table: the line of that table is the closest.
  return key.length > 1 ? lineOf(text, key.slice(0, -1)) : 1;
}

function plain(name: string): string {
  return name.replace(/["'\s]/g, '');
}
