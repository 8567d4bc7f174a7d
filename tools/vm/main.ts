/**
 * Runs tests on other kernels, in virtual machines: `make test-vm`. Arguments: the
 * compiled test files. Environment: KERNELS (names from kernels.ts) and BACKENDS narrow
 * the runs, VM_RUN is a shell command to run instead of the tests, VM_TIMEOUT is the
 * time limit of one in seconds, VM_JOBS how many run at once.
 */
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { boot, type Result } from './boot.js';
import { type FetchedKernel, fetchKernel } from './fetch.js';
import { buildBase, buildInitramfs } from './image.js';
import { kernels } from './kernels.js';

const TIMEOUT_SECONDS = Number(process.env.VM_TIMEOUT ?? 900);
/** A test mostly waits for one process: a machine with two CPUs keeps one of ours busy. */
const JOBS = Number(process.env.VM_JOBS ?? availableParallelism());

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

interface Run {
  readonly title: string;
  readonly file: string;
  readonly backend: string;
  readonly kernel: FetchedKernel;
}

interface Finished {
  readonly title: string;
  readonly result: Result;
  readonly seconds: number;
}

const runs = kernels
  .filter(({ name }) => names.includes(name))
  .flatMap((kernel): Run[] => {
    const fetched = fetchKernel(kernel);
    return kernel.backends
      .filter((backend) => backends.includes(backend))
      .map((backend) => ({
        title: `${kernel.name}, ${backend} (${fetched.release})`,
        file: `${kernel.name}-${backend}`,
        backend,
        kernel: fetched,
      }));
  });
const shared = buildBase();
const results: Finished[] = [];
const jobs = Math.min(JOBS, runs.length);

async function bootOne({ title, file, backend, kernel }: Run): Promise<void> {
  const tested = process.env.VM_RUN ?? `node --enable-source-maps build/js/tools/run-tests.js ${tests.join(' ')}`;
  const initramfs = `build/vm/${file}.initramfs`;
  buildInitramfs(shared, kernel, `export CI=1 BPFNS_RECORDER=${backend}\n${tested}\n`, initramfs);
  const start = Date.now();
  // Side by side their lines would mix: each is shown when it is over.
  let text = `\n== ${title}\n\n`;
  const show = (part: string): void => {
    if (jobs === 1) process.stdout.write(part);
    else text += part;
  };
  if (jobs === 1) process.stdout.write(text);
  const log = `build/vm/logs/${file}.log`;
  const result = await boot({ image: kernel.image, initramfs, log, timeoutSeconds: TIMEOUT_SECONDS, show });
  rmSync(initramfs);
  for (const problem of result.problems) show(`PROBLEM: ${problem}\n`);
  if (jobs > 1) process.stdout.write(text);
  results.push({ title, result, seconds: Math.round((Date.now() - start) / 1000) });
}

const waiting = [...runs];
async function worker(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) await bootOne(next);
}
await Promise.all(Array.from({ length: jobs }, worker));

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
