// @ts-check
/**
 * Prints the five namespaces whose BPF programs take most of the CPU, every second. Argument: how often
 * (default: until interrupted). Runs as root, or as a member of the group that may look:
 *
 *     node examples/watch.mjs 3
 */
import { Client, Meter } from 'bpfns/client';

const client = new Client();
const meter = new Meter();
let left = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);

for await (const sample of client.watch({ objects: false, interval: 1000 })) {
  const { hasRates, ofNamespace } = meter.measure(sample);
  if (!hasRates) continue; // rates need two samples
  const busiest = sample.namespaces
    .map(({ id, path, memory }) => ({ path, memory, cpu: ofNamespace(id).cpu }))
    .sort((a, b) => b.cpu - a.cpu)
    .slice(0, 5);
  console.log(sample.time);
  for (const { path, cpu, memory } of busiest) {
    console.log(`  ${path.padEnd(24)} ${cpu.toFixed(2).padStart(6)} % CPU  ${(memory / 1024).toFixed(0).padStart(8)} KiB`);
  }
  left -= 1;
  if (left <= 0) break;
}
