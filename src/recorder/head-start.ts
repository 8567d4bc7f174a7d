/** Where the kernel's ids have got to, and a head start for them before there are namespaces. */
import { kinds } from '../model/ids.js';
import { mapLookup, mapUpdate } from '../sys/bpf.js';
import { bpfns_status } from '../sys/contract.gen.js';
import type { BpfObject } from '../sys/libbpf.js';
import { newestId } from '../sys/new-object.js';

/**
 * A namespace counts no higher than the kernel had counted when it began. Shortly after the machine's
 * start that would not be far; making so many objects of each kind takes a few milliseconds.
 */
const HEAD_START = 512;

/** Notes the newest id of each kind, which only a new object tells. @throws SyscallError */
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
