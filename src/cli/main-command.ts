/** `bpfns` itself, without its commands, and how commands print. */
import { writeSync } from 'node:fs';
import { Command } from 'commander';
import product from '../../package.json' with { type: 'json' };

export const out = (text: string): void => {
  // Straight to the descriptor: complete even into a pipe when the process exits right after.
  for (let rest = Buffer.from(`${text}\n`); rest.length > 0; ) rest = rest.subarray(writeOnce(rest));
};

function writeOnce(data: Buffer): number {
  try {
    return writeSync(1, data);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EAGAIN') return 0;
    if (code === 'EPIPE') process.exit(0);
    throw error;
  }
}

export function mainCommand(): Command {
  return new Command('bpfns')
    .description('BPF namespaces on stock Linux kernels: a command sees, lists and opens only its own BPF objects.')
    .version(product.version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .enablePositionalOptions()
    .showHelpAfterError("Try 'bpfns --help' for more information.")
    .exitOverride()
    .configureOutput({ writeErr: (text) => void writeSync(2, text), writeOut: (text) => out(text.trimEnd()) });
}
