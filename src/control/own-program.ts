/** This program, to start it again as another process. */

/** The command line for `bpfns ARGS`: the program, and its arguments. */
export function ownProgram(...args: readonly string[]): readonly [program: string, args: string[]] {
  return [process.execPath, ['--no-warnings', process.argv[1] ?? '', ...args]];
}
