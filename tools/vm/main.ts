/**
 * Runs tests on other kernels, in virtual machines: `make test-vm`. Arguments: the
 * compiled test files. Environment: KERNELS (names from kernels.ts) and BACKENDS narrow
 * the runs, VM_RUN is a shell command to run instead of the tests, VM_TIMEOUT is the time limit of one in seconds.
 */
import { boot, type Result } from './boot.js';
import { fetchKernel } from './fetch.js';
import { buildBase, buildInitramfs } from './image.js';
import { kernels } from './kernels.js';

const TIMEOUT_SECONDS = Number(process.env.VM_TIMEOUT ?? 600);

function chosen(variable: string, names: readonly string[]): readonly string[] {
  const wanted = (process.env[variable] ?? '').split(/[ ,]+/).filter((name) => name !== '');
  for (const name of wanted) if (!names.includes(name)) throw new Error(`${variable}: no ${name} (${names.join(' ')})`);
  return wanted.length > 0 ? wanted : names;
}

const tests = process.argv.slice(2);
if (tests.length === 0) throw new Error('no test files given');
const names = chosen(
  'KERNELS',
  kernels.map(({ name }) => name),
);
const backends = chosen('BACKENDS', ['function', 'tracepoint']);

const shared = buildBase();
const results: { title: string; result: Result; seconds: number }[] = [];
for (const kernel of kernels.filter(({ name }) => names.includes(name))) {
  const fetched = fetchKernel(kernel);
  for (const backend of kernel.backends.filter((each) => backends.includes(each))) {
    const title = `${kernel.name}, ${backend} (${fetched.release})`;
    console.log(`\n== ${title}\n`);
    const command = `export CI=1 BPFNS_RECORDER=${backend} BPFNS_EXPECT_RELEASE=${fetched.release}
${process.env.VM_RUN ?? `node --enable-source-maps build/js/tools/run-tests.js ${tests.join(' ')}`}\n`;
    const start = Date.now();
    const result = await boot({
      image: fetched.image,
      initramfs: buildInitramfs(shared, fetched, command),
      log: `build/vm/logs/${kernel.name}-${backend}.log`,
      timeoutSeconds: TIMEOUT_SECONDS,
    });
    for (const problem of result.problems) console.log(`PROBLEM: ${problem}`);
    results.push({ title, result, seconds: Math.round((Date.now() - start) / 1000) });
  }
}

// A problem that is no failed test counts as one, so that the last line tells all.
const failures = (result: Result): number => result.failed + result.problems.length;
console.log('\n== All kernels\n');
for (const { title, result, seconds } of results) {
  console.log(`${title}: ${result.passed} passed, ${failures(result)} failed, ${seconds} s`);
  for (const problem of result.problems) console.log(`  ${problem}`);
}
const sum = (of: (result: Result) => number): number => results.reduce((total, { result }) => total + of(result), 0);
console.log(`\n${sum((result) => result.passed)} passed, ${sum(failures)} failed`);
if (results.length === 0 || sum(failures) > 0) process.exitCode = 1;
