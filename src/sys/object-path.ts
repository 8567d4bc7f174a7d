/** Where the compiled eBPF objects are. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A compiled eBPF object: beside the bundled program, or where the compiler's output has it. */
export function bpfObjectPath(name: 'recorder' | 'inspect' | 'eye' | 'probe'): string {
  const beside = fileURLToPath(new URL(`./${name}.bpf.o`, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../../bpf/${name}.bpf.o`, import.meta.url));
}
