/**
 * Runs test files one after the other. A line for each says how many tests passed and failed, and how
 * long it took; the last line has the totals. Arguments: the files.
 */
import { basename, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { publicPath } from './public-path.js';

process.chdir(publicPath(process.cwd()));
interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  milliseconds: number;
}

const byFile = new Map<string, Counts>();

function countsOf(file: string | undefined): Counts {
  // With source maps the file is the one that was compiled.
  const name = basename(file ?? '?').replace(/\.test\.[jt]s$/, '');
  const known = byFile.get(name);
  if (known) return known;
  const fresh = { passed: 0, failed: 0, skipped: 0, milliseconds: 0 };
  byFile.set(name, fresh);
  return fresh;
}

const text = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

/**
 * The longest file takes five minutes, and forty in an emulated machine. Without a limit, one that hangs would take all
 * that CI has. In ms.
 */
const usualLimit = (process.env.BPFNS_TEST_SLOWNESS === undefined ? 20 : 60) * 60_000;
const FILE_LIMIT = process.env.BPFNS_SOAK === '1' ? Number.POSITIVE_INFINITY : usualLimit;

const files = process.argv.slice(2).map((file) => resolve(file));
const events = run({ files, concurrency: false, timeout: FILE_LIMIT });
events.on('test:pass', ({ file, skip, details, nesting }) => {
  const counts = countsOf(file);
  if (nesting === 0) counts.milliseconds += details.duration_ms;
  if (details.type === 'suite') return;
  if (skip) counts.skipped++;
  else counts.passed++;
});
events.on('test:fail', ({ file, details, nesting }) => {
  const counts = countsOf(file);
  if (nesting === 0) counts.milliseconds += details.duration_ms;
  if (details.type !== 'suite' || details.error.message.includes('hook')) counts.failed++;
});
events.compose(new spec()).pipe(process.stdout);
process.on('exit', () => {
  const total: Counts = { passed: 0, failed: 0, skipped: 0, milliseconds: 0 };
  for (const [name, counts] of byFile) {
    console.log(`${name}: ${text(counts)} (${(counts.milliseconds / 1000).toFixed(1)} s)`);
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key];
  }
  console.log(`\n${text(total)}`);
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
});
