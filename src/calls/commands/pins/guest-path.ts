/** Paths in a caller's memory. */
import { E } from '../../../sys/errno.js';
import type { Call } from '../../call.js';

const PATH_MAX = 4096;
const PAGE = 4096;

/**
 * Reads page by page, as the string may end just before an unmapped page.
 * @returns it without the NUL, or -errno
 */
export function readPath(call: Call, address: number): Buffer | number {
  if (address <= 0) return -E.EFAULT;
  const path = Buffer.alloc(PATH_MAX);
  const chunk = Buffer.alloc(PAGE);
  for (let done = 0; done < PATH_MAX; ) {
    const length = Math.min(PAGE - ((address + done) % PAGE), PATH_MAX - done);
    if (!call.read(address + done, chunk, length)) return -E.EFAULT;
    chunk.copy(path, done, 0, length);
    done += length;
    const end = path.indexOf(0);
    if (end >= 0 && end < done) return end === 0 ? -E.ENOENT : Buffer.from(path.subarray(0, end));
  }
  return -E.ENAMETOOLONG;
}
