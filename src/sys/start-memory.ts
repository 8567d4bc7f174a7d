/** Gives back what a process needed only to start. */
import { readFileSync } from 'node:fs';
import { madvise } from './libc.js';

/** By then the threads that begin with the process have started, too; in ms. */
const STARTED = 3000;
const MADV_DONTNEED = 4;
/** A file that is mapped read-only, in /proc/PID/smaps: begin and end. */
const READ_ONLY_FILE = /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p [0-9a-f]+ \S+ [1-9]\d* +\//;
/** No page of it differs from the file, as relocated addresses or a breakpoint do: those would be lost. */
const UNCHANGED = /^Anonymous: +0 kB$/m;

/** Does so once the process has started: for those that stay. */
export function giveStartMemoryBack(): void {
  setTimeout(() => {
    // There only with --expose-gc (bin/bpfns).
    globalThis.gc?.();
    unmapPrograms();
  }, STARTED).unref();
}

/** Unmaps Node and the libraries. What is used again is mapped again, from the page cache: less than half is. */
function unmapPrograms(): void {
  for (const area of readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-)/m)) {
    const [, begin, end] = READ_ONLY_FILE.exec(area) ?? [];
    if (begin === undefined || !UNCHANGED.test(area)) continue;
    const address = Number(`0x${begin}`);
    madvise(address, Number(`0x${end}`) - address, MADV_DONTNEED);
  }
}
