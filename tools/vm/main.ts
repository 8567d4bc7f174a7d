/**
 * Runs tests on other kernels, in virtual machines: `make test-vm`. Arguments: the
 * compiled test files. Environment: KERNELS (see kernels.ts); VM_RUN, a shell command to run
 * instead of the tests; VM_PARTS, on how many machines a kernel's tests are spread; VM_JOBS,
 * how many machines run at once; VM_TIMEOUT, the time limit of one in seconds; VM_QUIET=1
 * shows failures only. What machines and kernels said is kept in build/vm/logs.
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { boot } from './boot.js';
import { type FetchedKernel, fetchKernel } from './fetch.js';
import { buildBase, buildInitramfs } from './image.js';
import { judge, suiteMark } from './judge.js';
import { type Backend, chosenKernels } from './kernels.js';
import { type Finished, summary, troubles } from './report.js';

/** What tests are told: see test/support/slowness.ts. */
const environment = 'CI=1 BPFNS_TEST_SLOWNESS=20';

/** A test mostly waits for one process: a machine with two CPUs keeps one of ours busy. */
const jobs = Number(process.env.VM_JOBS ?? availableParallelism());
const parts = Number(process.env.VM_PARTS ?? 1);
const timeoutSeconds = Number(process.env.VM_TIMEOUT ?? 3600);
const isQuiet = process.env.VM_QUIET === '1';
const tests = process.argv.slice(2);
if (tests.length === 0) throw new Error('no test files given');

interface Machine {
  readonly title: string;
  readonly file: string;
  readonly kernel: FetchedKernel;
  readonly backends: readonly Backend[];
  readonly tests: readonly string[];
}

const machines = chosenKernels(process.env.KERNELS ?? '').flatMap((kernel): Machine[] => {
  const fetched = fetchKernel(kernel);
  return Array.from({ length: parts }, (_, part) => ({
    title: `${kernel.name} (${fetched.release})${parts > 1 ? `, part ${part + 1}` : ''}`,
    file: `${kernel.name}-${part + 1}`,
    kernel: fetched,
    backends: kernel.backends,
    tests: tests.filter((_test, i) => i % parts === part),
  }));
});
const shared = buildBase();
mkdirSync('build/vm/logs', { recursive: true });
const finished: Finished[] = [];

/** What the machine runs: the tests with one backend after the other, whatever becomes of them. */
function commands(machine: Machine): string {
  const command =
    process.env.VM_RUN ?? `node --enable-source-maps build/js/tools/run-tests.js ${machine.tests.join(' ')}`;
  const runs = machine.backends.map(
    (backend) => `echo '${suiteMark}${backend}'; export BPFNS_RECORDER=${backend}; { ${command}; } || failed=1`,
  );
  return [`export ${environment}`, 'failed=0', ...runs, 'exit $failed', ''].join('\n');
}

async function run(machine: Machine): Promise<void> {
  const { title, file, kernel, backends } = machine;
  const initramfs = `build/vm/${file}.initramfs`;
  buildInitramfs(shared, kernel, commands(machine), initramfs);
  const start = Date.now();
  console.log(`== ${title} starts`);
  // Side by side their lines would mix: each is shown when it is over.
  const isLive = jobs === 1 && !isQuiet;
  const copy = `build/vm/logs/${file}.out`;
  rmSync(copy, { force: true });
  const { output, kernelLog, problems } = await boot({
    image: kernel.image,
    initramfs,
    log: `build/vm/logs/${file}.log`,
    timeoutSeconds,
    show: (text) => {
      appendFileSync(copy, text);
      if (isLive) process.stdout.write(text);
    },
  });
  rmSync(initramfs);
  const result = judge(output, kernelLog, process.env.VM_RUN ? [] : backends, problems);
  const seconds = Math.round((Date.now() - start) / 1000);
  if (!isLive && !isQuiet) console.log(`\n== ${title}\n\n${output}`);
  console.log(`== ${title} has ended`);
  finished.push({ title, result, output, kernelLog, seconds });
}

// So that the machines end too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const waiting = [...machines];
async function worker(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) await run(next);
}
await Promise.all(Array.from({ length: Math.min(jobs, machines.length) }, worker));

for (const each of finished) process.stdout.write(troubles(each));
const { text, failed } = summary(finished);
console.log(`\n== All kernels\n\n${text}`);
if (finished.length === 0 || failed > 0) process.exitCode = 1;
