/** Something the user got wrong or asked in vain: one line on stderr, no stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitStatus: number;
  constructor(message: string, exitStatus = 1) {
    super(message);
    this.exitStatus = exitStatus;
  }
}
