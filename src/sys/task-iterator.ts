/** Iterators over tasks. */
import { performance } from 'node:perf_hooks';
import { bpf } from './bpf.js';
import { E } from './errno.js';
import { Fd } from './fd.js';
import { bpf_attach_type, bpf_attr, bpf_cmd, bpf_iter_link_info } from './kernel.gen.js';
import { addressOf, read } from './libc.js';

const one = Buffer.alloc(1);

/**
 * Runs an iterator from the task that it has reached, to its end or for so long. The time is checked after each byte
 * that its program writes, which must write them often enough; without a limit it need not write any.
 * @returns 0 at the end, 1 if tasks are left, or -errno
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
 * Opens an iterator over one thread (Linux 6.1). If there is no such thread, it ends at once.
 * @param program the fd of the program; the iterator holds a reference of its own
 * @param tid in this process's pid namespace; not 0, which means all tasks
 * @returns the iterator, which the caller closes; one that is not open has -errno for its number
 */
export function openThreadIterator(program: number, tid: number): Fd {
  const info = Buffer.alloc(bpf_iter_link_info.sizeof);
  info.writeUInt32LE(tid, bpf_iter_link_info.task_tid);
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
