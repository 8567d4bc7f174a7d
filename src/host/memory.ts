/** The kernel's memory that objects take, by owner. */
import { hostId, kinds, type NamespaceId } from '../model/ids.js';
import type { Namespaces } from '../model/namespaces.js';
import { hostIds, withObject } from '../sys/bpf.js';
import { memoryOf } from '../sys/bpf-usage.js';
import { btfInfo } from '../sys/btf-info.js';

/** In bytes, by namespace: `memlock` of maps and programs, and the size of BTF. Opens every object of the host. */
export function memoryByOwner(model: Namespaces): ReadonlyMap<NamespaceId, number> {
  const sums = new Map<NamespaceId, number>();
  for (const kind of kinds) {
    if (kind === 'link') continue; // the kernel does not tell
    const read = kind === 'btf' ? (fd: number): number => btfInfo(fd)?.length ?? 0 : memoryOf;
    for (const host of hostIds(kind)) {
      const { id } = model.ownerOf(kind, hostId(host));
      sums.set(id, (sums.get(id) ?? 0) + (withObject(kind, host, read) ?? 0));
    }
  }
  return sums;
}
