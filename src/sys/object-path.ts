/** The paths of the compiled eBPF objects. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The path of a compiled eBPF object: beside the bundled program, or in the compiler's output. */
export function bpfObjectPath(name: 'recorder' | 'inspect' | 'eye' | 'carry' | 'delegation' | 'probe'): string {
  const beside = fileURLToPath(new URL(`./${name}.bpf.o`, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../../bpf/${name}.bpf.o`, import.meta.url));
}
