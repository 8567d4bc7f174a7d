/** Runs test files one after the other. The last line has the numbers of passed and failed tests. Arguments: the files. */
import { resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { publicPath } from './public-path.js';

process.chdir(publicPath(process.cwd()));
const counts = { passed: 0, failed: 0, skipped: 0 };
const files = process.argv.slice(2).map((file) => resolve(file));
const events = run({ files, concurrency: false, timeout: Number.POSITIVE_INFINITY });
events.on('test:pass', ({ skip, details }) => {
  if (details.type === 'suite') return;
  if (skip) counts.skipped++;
  else counts.passed++;
});
events.on('test:fail', ({ details }) => {
  if (details.type !== 'suite' || details.error.message.includes('hook')) counts.failed++;
});
events.compose(new spec()).pipe(process.stdout);
process.on('exit', () => {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
  if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
});
