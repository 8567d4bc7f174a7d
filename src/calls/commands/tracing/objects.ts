/**
 * What a program brings along besides its instructions: maps, and BTF. Both can hand it pointers into
 * the kernel, which the verifier lets a privileged program follow.
 */
import type { Refusal } from '../../../program/check.js';
import { getInfoByFd, kindOfFd, withObject } from '../../../sys/bpf.js';
import { Btf, BtfKind } from '../../../sys/btf.js';
import { btfBlob } from '../../../sys/btf-info.js';
import { bpf_map_info } from '../../../sys/kernel.gen.js';

/**
 * Types of maps whose values are bytes, or that only helpers use. In others a look-up gives a kernel
 * object, or a map whose values nobody can know beforehand.
 */
const plainMaps: ReadonlySet<number> = new Set([
  1, // HASH
  2, // ARRAY
  3, // PROG_ARRAY
  4, // PERF_EVENT_ARRAY
  5, // PERCPU_HASH
  6, // PERCPU_ARRAY
  7, // STACK_TRACE
  8, // CGROUP_ARRAY
  9, // LRU_HASH
  10, // LRU_PERCPU_HASH
  11, // LPM_TRIE
  22, // QUEUE
  23, // STACK
  27, // RINGBUF
  30, // BLOOM_FILTER
  31, // USER_RINGBUF
]);

/** "arg:untrusted" makes a pointer into the kernel of any number. */
const harmlessTags: readonly string[] = ['arg:ctx', 'arg:nonnull', 'arg:nullable'];

const whole = (what: string, reason: string): Refusal => ({ at: -1, what, reason });

/** undefined if a program may use all that these fds refer to. An fd of no BPF object is the kernel's to refuse. */
export function refuseObjects(fds: Iterable<number>): Refusal | undefined {
  for (const fd of fds) {
    const kind = kindOfFd(fd);
    const refusal = kind === 'map' ? refuseMap(fd) : kind === 'btf' ? refuseTags(fd) : undefined;
    if (refusal) return refusal;
  }
  return undefined;
}

function refuseMap(fd: number): Refusal | undefined {
  const info = Buffer.alloc(bpf_map_info.sizeof);
  if (getInfoByFd(fd, info, info.length) < 0) return whole('a map', 'the kernel tells nothing of it');
  const type = info.readUInt32LE(bpf_map_info.type);
  if (!plainMaps.has(type)) return whole(`a map of type ${type}`, 'it may hold objects of the kernel');
  const id = info.readUInt32LE(bpf_map_info.btf_id);
  if (id === 0) return undefined;
  const value = info.readUInt32LE(bpf_map_info.btf_value_type_id);
  // The map keeps its BTF alive.
  return judge(withObject('btf', id, btfBlob), (btf) =>
    btf.hasTaggedPointer(value)
      ? whole('a map with pointers of the kernel in its values', 'they lead to kernel memory')
      : undefined,
  );
}

const refuseTags = (fd: number): Refusal | undefined =>
  judge(btfBlob(fd), (btf) => {
    for (const name of btf.names(BtfKind.declTag)) {
      if (!name.startsWith('arg:') || harmlessTags.includes(name)) continue;
      return whole(`a function argument tagged '${name}'`, 'it may lead to kernel memory');
    }
    return undefined;
  });

/** BTF that cannot be read, or is newer than this reader, is refused. */
function judge(blob: Buffer | undefined, by: (btf: Btf) => Refusal | undefined): Refusal | undefined {
  try {
    if (blob) return by(new Btf(blob));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return whole('its BTF', 'it cannot be read');
}
