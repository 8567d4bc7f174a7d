/** Maps that the agent makes for itself, besides those of its eBPF objects. */
import { bpf } from './bpf.js';
import { check } from './errno.js';
import { bpf_attr, bpf_cmd, bpf_map_type } from './kernel.gen.js';

/** Creates an array of one value of so many bytes. The caller closes the fd. @throws SyscallError */
export function createArray(size: number): number {
  const attr = Buffer.alloc(bpf_attr.max_entries + 4);
  attr.writeUInt32LE(bpf_map_type.BPF_MAP_TYPE_ARRAY, bpf_attr.map_type);
  attr.writeUInt32LE(4, bpf_attr.key_size);
  attr.writeUInt32LE(size, bpf_attr.value_size);
  attr.writeUInt32LE(1, bpf_attr.max_entries);
  return check(bpf(bpf_cmd.BPF_MAP_CREATE, attr, attr.length), 'bpf', 'cannot create an array');
}
