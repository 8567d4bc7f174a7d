/** Reports the results of the machines, for people and for programs that read the last line. */
import { failures, lastLines, type Result } from './judge.js';

export interface Finished {
  readonly title: string;
  readonly result: Result;
  readonly output: string;
  readonly kernelLog: string;
  readonly seconds: number;
}

/** A short text about what went wrong on one machine; empty if nothing did. */
export function troubles({ title, result, output, kernelLog }: Finished): string {
  const parts = result.suites.map((suite) => {
    const text = failures(suite);
    return text && `\n== ${title}, ${suite.backend} hooks: failed tests\n\n${text}\n`;
  });
  if (result.problems.length > 0) {
    parts.push(`\n== ${title}: the last of what it printed\n\n${lastLines(output, 20)}\n`);
    parts.push(`\n== ${title}: the last of what its kernel said\n\n${lastLines(kernelLog, 20)}\n`);
  }
  return parts.join('');
}

/** Kernel by test file, as a table of Markdown: docs/decisions/0010-other-kernels.md keeps the last ones. */
export function matrix(finished: readonly Finished[]): string {
  const suites = finished.flatMap(({ title, result }) =>
    result.suites.map((suite) => ({ title: `${title}, ${suite.backend}`, files: suite.files })),
  );
  const names = [...new Set(suites.flatMap(({ files }) => [...files.keys()]))].sort();
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row(['Test', ...suites.map(({ title }) => title)]),
    row(['---', ...suites.map(() => '---')]),
    ...names.map((name) => row([name, ...suites.map(({ files }) => files.get(name) ?? '')])),
  ].join('\n');
}

/** One line per suite and problem; a problem counts as a failed test. The last line has the totals. */
export function summary(finished: readonly Finished[]): { readonly text: string; readonly failed: number } {
  const lines: string[] = [];
  let [passed, failed, skipped] = [0, 0, 0];
  for (const { title, result, seconds } of finished) {
    lines.push(`${title}: ${seconds} s`);
    for (const suite of result.suites) {
      lines.push(`  ${suite.backend} hooks: ${suite.passed} passed, ${suite.failed} failed`);
      lines.push(...suite.skipped.map((each) => `    skipped: ${each}`));
      passed += suite.passed;
      failed += suite.failed;
      skipped += suite.skipped.length;
    }
    lines.push(...result.problems.map((problem) => `  PROBLEM: ${problem}`));
    failed += result.problems.length;
  }
  lines.push('', `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return { text: lines.join('\n'), failed };
}
