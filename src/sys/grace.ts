/** Waits for BPF programs that run. */
import { bpf, mapUpdate } from './bpf.js';
import { check } from './errno.js';
import { Fd } from './fd.js';
import { bpf_attr, bpf_cmd, bpf_map_type } from './kernel.gen.js';

/**
 * Returns once every BPF program (but sleepable ones) that runs now on any CPU has ended. Those that run
 * afterwards see all that was written to maps, attached and detached before. A few hundredths of a second.
 *
 * The kernel waits before an update of a map of maps returns, for just this use (maybe_wait_bpf_programs() in
 * kernel/bpf/syscall.c). membarrier(2) waits too, but not with nohz_full.
 * @throws SyscallError
 */
export function awaitRunningPrograms(): void {
  using inner = createMap(bpf_map_type.BPF_MAP_TYPE_ARRAY, -1);
  using outer = createMap(bpf_map_type.BPF_MAP_TYPE_ARRAY_OF_MAPS, inner.number);
  const value = Buffer.alloc(4);
  value.writeInt32LE(inner.number);
  check(mapUpdate(outer.number, Buffer.alloc(4), value), 'bpf', 'cannot wait for programs that run');
}

function createMap(type: number, inner: number): Fd {
  const attr = Buffer.alloc(bpf_attr.inner_map_fd + 4);
  attr.writeUInt32LE(type, bpf_attr.map_type);
  attr.writeUInt32LE(4, bpf_attr.key_size);
  attr.writeUInt32LE(4, bpf_attr.value_size);
  attr.writeUInt32LE(1, bpf_attr.max_entries);
  if (inner >= 0) attr.writeInt32LE(inner, bpf_attr.inner_map_fd);
  return new Fd(bpf(bpf_cmd.BPF_MAP_CREATE, attr, attr.length)).checked('bpf', 'cannot create a map');
}
