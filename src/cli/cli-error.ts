/** An error of the user, or a request that failed: one line on stderr, no stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitStatus: number;
  constructor(message: string, exitStatus = 1) {
    super(message);
    this.exitStatus = exitStatus;
  }
}
