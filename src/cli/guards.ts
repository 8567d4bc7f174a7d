/** Checks who may use a command. */
import { CliError } from './cli-error.js';

/** Requires root, outside any namespace. @throws CliError */
export async function requireHost(what: string): Promise<void> {
  await requireOutside(what);
  if (process.geteuid?.() !== 0) throw new CliError(`${what} needs root`);
}

/**
 * Requires a process outside any namespace, root or not. Inside, the id commands are trapped, and
 * listings would show a mixture or fail half-way. @throws CliError
 */
export async function requireOutside(what: string): Promise<void> {
  const { ownNamespace } = await import('../filter/own-command.js');
  const own = ownNamespace();
  if (own) throw new CliError(`${what} works only on the host: this process is in BPF namespace ${own.name || own.id}`);
}
