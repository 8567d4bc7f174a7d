/** BPF_TASK_FD_QUERY: describes a perf or raw tracepoint fd of another task. */
import { hostId } from '../../model/ids.js';
import { bpf } from '../../sys/bpf.js';
import { E } from '../../sys/errno.js';
import { bpf_attr, bpf_cmd } from '../../sys/kernel.gen.js';
import { addressOf } from '../../sys/libc.js';
import { readPointer } from '../../sys/seccomp.js';
import { sendSignal } from '../../sys/task.js';
import type { Call, Reply } from '../call.js';
import type { Services } from '../services.js';
import { openOwnProcess } from './own-process.js';

const a = bpf_attr;
const END = a.task_fd_query_probe_addr + 8;
const MAX_NAME = 4096;
const call = Buffer.alloc(END);
const name = Buffer.alloc(MAX_NAME);

/** Order of checks as in bpf_task_fd_query() (kernel/bpf/syscall.c). */
export function taskFdQuery(guest: Call, { mirror }: Services): Reply {
  if (guest.hasUnknownBits(END)) return -E.EINVAL;
  if (!guest.mayUseIds) return -E.EPERM;
  if (guest.attr.readUInt32LE(a.task_fd_query_flags) !== 0) return -E.EINVAL;
  const process = openOwnProcess(guest, mirror, guest.attr.readUInt32LE(a.task_fd_query_pid));
  if (!process) return -E.ENOENT;
  const { pid } = process;
  using target = process.pidfd;

  const room = Math.min(guest.attr.readUInt32LE(a.task_fd_query_buf_len), MAX_NAME);
  const bufferAddress = readPointer(guest.attr, a.task_fd_query_buf);
  guest.attr.copy(call, 0, 0, END);
  name.fill(0);
  call.writeUInt32LE(pid, a.task_fd_query_pid);
  call.writeUInt32LE(room, a.task_fd_query_buf_len);
  if (bufferAddress !== 0) call.writeBigUInt64LE(addressOf(name), a.task_fd_query_buf);
  const result = guest.asAgent(() => bpf(bpf_cmd.BPF_TASK_FD_QUERY, call, END));
  // A pid is not reused before its process is waited for. If it still exists, the pid was its own
  // all the time.
  if (sendSignal(target, 0) === -E.ESRCH) return -E.ENOENT;
  if (result < 0 && result !== -E.ENOSPC) return result;

  const prog = call.readUInt32LE(a.task_fd_query_prog_id);
  call.writeUInt32LE(guest.idIn('prog', hostId(prog)), a.task_fd_query_prog_id);
  if (!guest.maySeeAddresses) call.fill(0, a.task_fd_query_probe_addr, END);
  if (bufferAddress !== 0 && room > 0) {
    const length = Math.min(room, name.indexOf(0) + 1);
    if (!guest.write(bufferAddress, name, length)) return -E.EFAULT;
  }
  const out = a.task_fd_query_buf_len;
  const written =
    guest.writeAttr(out, call.readUInt32LE(out)) &&
    guest.write(
      guest.attrAddress + a.task_fd_query_prog_id,
      call.subarray(a.task_fd_query_prog_id),
      END - a.task_fd_query_prog_id,
    );
  return written ? result : -E.EFAULT;
}
