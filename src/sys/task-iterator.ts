/** Iterators over tasks. */
import { performance } from 'node:perf_hooks';
import { bpf } from './bpf.js';
import { E } from './errno.js';
import { Fd } from './fd.js';
import { bpf_attach_type, bpf_attr, bpf_cmd, bpf_iter_link_info } from './kernel.gen.js';
import { addressOf, read } from './libc.js';

const one = Buffer.alloc(1);

/**
 * Runs the program of an iterator from where it is, to the end or for so long. The program writes a byte for each task
 * that takes time, and nothing otherwise.
 * @param ms how long; what it does for one task is not interrupted
 * @returns 0 at the end, 1 before, or -errno
 */
export function runIterator(iterator: Fd, ms = Number.POSITIVE_INFINITY): number {
  const end = performance.now() + ms;
  for (;;) {
    // EAGAIN: it has been over a million tasks.
    const result = read(iterator.number, one, one.length);
    if (result <= 0 && result !== -E.EAGAIN) return result;
    if (performance.now() >= end) return 1;
  }
}

/**
 * Opens an iterator over the threads of one process (Linux 6.1). It ends at once if there is no such process.
 * @param program the fd of the program, of which it has a reference
 * @param pid as this process sees it; not 0
 */
export function openProcessIterator(program: number, pid: number): Fd {
  const info = Buffer.alloc(bpf_iter_link_info.sizeof);
  info.writeUInt32LE(pid, bpf_iter_link_info.task_pid);
  const create = Buffer.alloc(bpf_attr.link_create_iter_info_len + 4);
  create.writeUInt32LE(program, bpf_attr.link_create_prog_fd);
  create.writeUInt32LE(bpf_attach_type.BPF_TRACE_ITER, bpf_attr.link_create_attach_type);
  create.writeBigUInt64LE(addressOf(info), bpf_attr.link_create_iter_info);
  create.writeUInt32LE(info.length, bpf_attr.link_create_iter_info_len);
  using link = new Fd(bpf(bpf_cmd.BPF_LINK_CREATE, create, create.length));
  if (!link.isOpen) return link;
  const open = Buffer.alloc(bpf_attr.iter_create_flags + 4);
  open.writeUInt32LE(link.number, bpf_attr.iter_create_link_fd);
  return new Fd(bpf(bpf_cmd.BPF_ITER_CREATE, open, open.length));
}
