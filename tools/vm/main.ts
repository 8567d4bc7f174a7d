/**
 * Runs tests on other kernels, in virtual machines: `make test-vm`. Arguments: the compiled test files, or --ci for
 * those of CI. Environment: KERNELS (see kernels.ts); VM_RUN, a shell command to run instead of the tests; VM_JOBS, how
 * many machines run at once; VM_TIMEOUT, the time limit of one in seconds (else an hour, and half an hour for each
 * file); VM_QUIET=1 shows failures only. What machines and kernels said is kept in build/vm/logs.
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { boot } from './boot.js';
import { type FetchedKernel, fetchKernel } from './fetch.js';
import { buildBase, buildInitramfs } from './image.js';
import { judge, suiteMark } from './judge.js';
import type { Backend } from './kernels.js';
import { machines as emulated } from './machines.js';
import { type Plan, planOf, planOfCi } from './plan.js';
import { type Finished, matrix, summary, troubles } from './report.js';

/** What tests are told: see test/support/slowness.ts. */
const environment = 'CI=1 BPFNS_TEST_SLOWNESS=20';

/** A test mostly waits for one process: a machine with two CPUs keeps one of ours busy. */
const jobs = Number(process.env.VM_JOBS ?? availableParallelism());
const isQuiet = process.env.VM_QUIET === '1';
const args = process.argv.slice(2);
if (args.length === 0) throw new Error('no test files given');

interface Machine extends Plan {
  readonly title: string;
  readonly image: FetchedKernel;
}

const plans = args[0] === '--ci' ? planOfCi() : planOf(process.env.KERNELS ?? '', args);
const machines = plans.map((plan): Machine => {
  const image = fetchKernel(plan.kernel);
  return { ...plan, image, title: `${plan.name} (${image.release})` };
});
const withEngines = args.some((file) => file.includes('/runtimes/'));
const shared = new Map(machines.map(({ kernel }) => [kernel.architecture, '']));
for (const architecture of shared.keys()) shared.set(architecture, buildBase(emulated[architecture], withEngines));
mkdirSync('build/vm/logs', { recursive: true });
const finished: Finished[] = [];

function choose(backend: Backend): string {
  return backend === 'chosen' ? 'unset BPFNS_RECORDER' : `export BPFNS_RECORDER=${backend}`;
}

/** What the machine runs: the tests with one backend after the other, whatever becomes of them. */
function commands(machine: Machine): string {
  const command =
    process.env.VM_RUN ?? `node --enable-source-maps build/js/tools/run-tests.js ${machine.tests.join(' ')}`;
  const runs = machine.backends.map(
    (backend) => `echo '${suiteMark}${backend}'; ${choose(backend)}; { ${command}; } || failed=1`,
  );
  return [`export ${environment}`, 'failed=0', ...runs, 'exit $failed', ''].join('\n');
}

async function run(machine: Machine): Promise<void> {
  const { title, name, image, backends, kernel } = machine;
  const initramfs = `build/vm/${name}.initramfs`;
  buildInitramfs(shared.get(kernel.architecture) ?? '', image, commands(machine), initramfs);
  const start = Date.now();
  // Most files take a few minutes, with each set of hooks.
  const timeoutSeconds = Number(process.env.VM_TIMEOUT ?? 1800 * (2 + machine.tests.length * backends.length));
  console.log(`== ${title} starts`);
  // Side by side their lines would mix: each is shown when it is over.
  const isLive = jobs === 1 && !isQuiet;
  const copy = `build/vm/logs/${name}.out`;
  rmSync(copy, { force: true });
  const { output, kernelLog, problems } = await boot({
    machine: emulated[kernel.architecture],
    image: image.image,
    initramfs,
    log: `build/vm/logs/${name}.log`,
    timeoutSeconds,
    // The root is in memory, and Docker's root and images are unpacked into it.
    memory: withEngines ? '8G' : '3G',
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
console.log(`\n== All kernels\n\n${matrix(finished)}\n\n${text}`);
if (finished.length === 0 || failed > 0) process.exitCode = 1;
