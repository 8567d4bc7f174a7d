/** Parses the command line, and maps errors to exit statuses. */
import { CommanderError } from 'commander';
import { CliError } from './cli-error.js';
import { program } from './program.js';
import { useBlockingStreams, warn } from './standard-streams.js';

const EXIT_FAILED = 125;

useBlockingStreams();
/** `run` and `exec` exit with 125 for any failure of their own, like env(1). */
const failure = process.argv[2] === 'run' || process.argv[2] === 'exec' ? EXIT_FAILED : 1;
try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exit(error.exitCode === 0 ? 0 : failure);
  }
  warn(error instanceof Error ? error.message : String(error));
  process.exit(error instanceof CliError && failure === 1 ? error.exitStatus : failure);
}
