/**
 * Node makes a pipe or socket non-blocking as soon as anything, its own modules included,
 * touches process.stdout or process.stderr: for everybody who has it open, and for the
 * command that this process becomes. These streams only write.
 */
import { writeSync } from 'node:fs';
import { Writable } from 'node:stream';

/** Replaces process.stdout and process.stderr; call before anything else. */
export function useBlockingStreams(): void {
  for (const [fd, name] of [
    [1, 'stdout'],
    [2, 'stderr'],
  ] as const) {
    const value = new Writable({
      write(chunk: Buffer, _encoding, done) {
        writeSync(fd, chunk);
        done();
      },
    });
    Object.defineProperty(process, name, { value, configurable: true });
  }
}

export function warn(line: string): void {
  writeSync(2, `bpfns: ${line}\n`);
}
