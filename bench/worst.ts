/** What one guest at its worst does to the calls of another. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { BPFNS, progress, run, whileActive } from './measure.js';
import { time } from './report.js';

const WORST = 'build/bench/worst';
const SECONDS = 6;
/** The goal, in ms. */
const MEDIAN = 50;
const P99 = 250;

/** Commands in a namespace, behind options of `bpfns run`. */
const attacks: Readonly<Record<string, readonly string[]>> = {
  nothing: ['--', 'sleep', 'infinity'],
  'ids, without a pause': ['--', WORST, 'ids'],
  'creations, without a pause': ['--', WORST, 'creations'],
  'lookups of pins': ['--', WORST, 'lookups'],
  'lookups of pins in a slow file system of its own (FUSE)': ['--', WORST, 'fuse'],
  'info of a program of a million instructions': ['--', WORST, 'info'],
  'child namespaces': ['--', WORST, 'namespaces'],
  'child namespaces whose clone3 fails': ['--', WORST, 'failing'],
  "bpftool's iterator beside 16,000 fds": ['--', 'build/guests/pid-iter', 'map', WORST, 'iterators'],
  'programs to trace with, of 999,000 instructions': ['--tracing=own', '--', WORST, 'loads'],
  'perf events': ['--tracing=own', '--', WORST, 'events'],
};

export function worst(): Promise<string> {
  return whileActive(async () => {
    const rows: string[] = [];
    for (const [name, command] of Object.entries(attacks)) {
      const attacker = spawn('timeout', ['-k', '1', '60', BPFNS, 'run', ...command], { stdio: 'ignore' });
      await pause(2000); // it has begun
      try {
        const [median = 0, p99 = 0, most = 0] = run([BPFNS, 'run', '--', WORST, 'victim', String(SECONDS)])
          .split(' ')
          .map(Number);
        progress(`${name}: ${time(median)}, ${time(p99)}, ${time(most)}`);
        const isMet = median <= MEDIAN * 1e6 && p99 <= P99 * 1e6;
        rows.push(`| ${name} | ${time(median)} | ${time(p99)} | ${time(most)} | ${isMet ? 'yes' : '**no**'} |`);
      } finally {
        await end(attacker);
      }
    }
    return `One guest does that, from 32 threads, and another lists an id every two milliseconds. The goal is ${MEDIAN} ms at the
median and ${P99} ms at the 99th percentile.

| a guest's worst | median | 99th percentile | longest | goal met |
|---|---:|---:|---:|---|
${rows.join('\n')}`;
  });
}

/** timeout(1) has a process group of its own, which ends with it. */
async function end(attacker: ChildProcess): Promise<void> {
  if (attacker.exitCode !== null) return;
  const gone = new Promise((resolve) => attacker.once('exit', resolve));
  attacker.kill();
  await gone;
}
