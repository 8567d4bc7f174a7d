/** This program, to start it again as another process. */

/** The command line for `bpfns ARGS`: the program with its options for Node, and its arguments. */
export function ownProgram(...args: readonly string[]): readonly [program: string, args: string[]] {
  return [process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args]];
}
