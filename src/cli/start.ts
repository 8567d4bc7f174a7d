/** Runs what the command line asks for, and maps errors to exit statuses. */
import { type Command, CommanderError } from 'commander';
import { CliError } from './cli-error.js';
import { useBlockingStreams, warn } from './standard-streams.js';

const EXIT_FAILED = 125;

/** @param make the command `bpfns` with those of its commands that may be asked for */
export async function start(make: () => Command): Promise<void> {
  useBlockingStreams();
  /** `run` and `exec` exit with 125 for any failure of their own, like env(1). */
  const failure = process.argv[2] === 'run' || process.argv[2] === 'exec' ? EXIT_FAILED : 1;
  try {
    await make().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exit(error.exitCode === 0 ? 0 : failure);
    }
    warn(error instanceof Error ? error.message : String(error));
    process.exit(error instanceof CliError && failure === 1 ? error.exitStatus : failure);
  }
}
