/** Tells what an fd is that somebody says to be a context of a new bpffs. */
import { runProgram } from '../sys/bpf.js';
import { bpfns_fs_context } from '../sys/contract.gen.js';
import { check } from '../sys/errno.js';
import type { Fd } from '../sys/fd.js';
import { BpfObject } from '../sys/libbpf.js';
import { bpfObjectPath } from '../sys/object-path.js';
import type { Recorder } from './recorder.js';

/** From the first time on, until this process ends: few agents need it, and loading takes milliseconds. */
let loaded: BpfObject | undefined;

/**
 * The inode of the user namespace in which a context of bpffs was made, and to which the file
 * system will belong; 0 for any other fd. Neither ever changes. @throws SyscallError
 */
export function userNsOfContext(context: Fd, recorder: Recorder): number {
  loaded ??= load(recorder);
  const run = Buffer.alloc(bpfns_fs_context.sizeof);
  run.writeInt32LE(context.number, bpfns_fs_context.fd);
  check(runProgram(loaded.programFd('fs_context'), run), 'bpf', 'cannot look at the context of bpffs');
  return run.readUInt32LE(bpfns_fs_context.user_ns);
}

function load(recorder: Recorder): BpfObject {
  const object = new BpfObject(bpfObjectPath('delegation'));
  try {
    for (const map of ['tasks', 'filters'] as const) object.reuseMap(map, recorder.mapFd(map));
    object.load();
    return object;
  } catch (error) {
    object.close();
    throw error;
  }
}
