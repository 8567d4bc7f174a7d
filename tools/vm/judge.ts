/** Judges a machine by its output and its kernel's messages. */

/** The result of the tests with one backend of the recorder. */
export interface Suite {
  readonly backend: string;
  readonly passed: number;
  readonly failed: number;
  /** Name and reason of each skipped test. */
  readonly skipped: readonly string[];
  /** What run-tests.ts says of each file: "13 passed, 0 failed (48.0 s)". */
  readonly files: ReadonlyMap<string, string>;
  readonly output: string;
}

export interface Result {
  readonly suites: readonly Suite[];
  /** Problems besides failed tests. */
  readonly problems: readonly string[];
}

/** The machine prints this before the tests with one backend. */
export const suiteMark = '@@ backend ';

/** Messages of a kernel about its own faults. */
const complaint =
  /\b(WARNING: (CPU|possible|suspicious|inconsistent|held|bad)|BUG:|Oops\b|Kernel panic|general protection fault|INFO: task .* blocked|INFO: rcu|rcu: INFO|possible recursive locking|unregister_netdevice: waiting|UBSAN:|KASAN:|soft lockup|scheduling while atomic)/;

/** @param backends those that must have results @param earlier problems that are already known */
export function judge(
  text: string,
  kernelLog: string,
  backends: readonly string[],
  earlier: readonly string[],
): Result {
  const problems = [...earlier];
  const suites = text.split(suiteMark).slice(1).map(suite);
  for (const backend of backends) {
    const found = suites.find((each) => each.backend === backend);
    if (!found || found.passed === 0) problems.push(`no test has passed with ${backend} hooks`);
  }
  const status = /^status (\d+)$/m.exec(text)?.[1];
  if (status === undefined) problems.push('the guest has not told its exit status');
  else if (status !== '0' && suites.every(({ failed }) => failed === 0)) problems.push(`exit status ${status}`);
  for (const line of kernelLog.split('\n')) if (complaint.test(line)) problems.push(`kernel: ${line.trim()}`);
  return { suites, problems };
}

function suite(output: string): Suite {
  const counts = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1) ?? [];
  const [passed = 0, failed = 0] = counts.slice(1).map(Number);
  const skipped = [...output.matchAll(/^ *﹣ (.+) \([\d.]+ms\) # (.+)$/gm)].map(([, name, why]) => `${name}: ${why}`);
  const files = new Map(
    [...output.matchAll(/^([a-z0-9-]+): (\d+ passed, \d+ failed.*)$/gm)].map(([, name = '', said = '']) => [
      name,
      said,
    ]),
  );
  return { backend: /^\w+/.exec(output)?.[0] ?? '', passed, failed, skipped, files, output };
}

/** The test runner's messages about failed tests, for people. */
export function failures({ failed, output }: Suite): string {
  const list = output.split('✖ failing tests:\n').slice(1).at(-1) ?? output;
  return failed === 0 ? '' : lastLines(list, 80);
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
