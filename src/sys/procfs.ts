/** Reads files of procfs, whose size nobody knows before. */
import { close, O_CLOEXEC, O_RDONLY, open, read } from './libc.js';

/** readFileSync() takes as much anew each time, which malloc(3) ends up not giving back. */
const chunk = Buffer.alloc(64 * 1024);

/** The file's text, a character a byte; undefined if there is none or its process is gone. */
export function readProc(path: string): string | undefined {
  const fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return undefined;
  try {
    for (let text = ''; ; ) {
      const length = read(fd, chunk, chunk.length);
      if (length < 0) return undefined;
      if (length === 0) return text;
      text += chunk.toString('latin1', 0, length);
    }
  } finally {
    close(fd);
  }
}
