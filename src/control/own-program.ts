/** This very program, to be started again as another process. */

/** The command line that runs `bpfns ARGS`: the program, and its arguments. */
export function ownProgram(...args: readonly string[]): readonly [program: string, args: string[]] {
  return [process.execPath, ['--no-warnings', process.argv[1] ?? '', ...args]];
}
