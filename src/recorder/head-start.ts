/** Finds the kernel's newest ids, and advances them before there are namespaces. */
import { kinds } from '../model/ids.js';
import { mapLookup, mapUpdate } from '../sys/bpf.js';
import { bpfns_status } from '../sys/contract.gen.js';
import type { BpfObject } from '../sys/libbpf.js';
import { newestId } from '../sys/new-object.js';

/**
 * A namespace counts only up to the kernel's newest id when it begins
 * (docs/decisions/0018-unambiguous-ids.md), which is low shortly after boot. Creating this many
 * objects of each kind takes a few milliseconds.
 */
const HEAD_START = 512;

/** Records the newest id of each kind, which only a new object shows. @throws SyscallError */
export function takeHeadStart(recorder: BpfObject): void {
  const status = Buffer.alloc(bpfns_status.sizeof);
  mapLookup(recorder.mapFd('status'), Buffer.alloc(4), status);
  for (const [i, kind] of kinds.entries()) {
    let newest = 0;
    while (newest < HEAD_START) newest = newestId(kind, recorder.programFd('one_task'));
    status.writeUInt32LE(newest, bpfns_status.newest + i * 4);
  }
  mapUpdate(recorder.mapFd('status'), Buffer.alloc(4), status);
}
