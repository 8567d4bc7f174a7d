/**
 * The view of tracefs for guests with tracing=own: the ids and formats of the tracepoints that they may use.
 * The real one has everybody's trace, and is root's. `bpfns run` mounts the view in its place, and container
 * engines may.
 */
import { setImmediate } from 'node:timers/promises';
import { allowedTracepoints } from '../../../filter/tracepoints.js';
import { fillView, isViewAt, removeView } from '../../../sys/tracefs-view.js';

/** Tracepoints that are copied in one go: some milliseconds, in which no call is answered. */
const AT_ONCE = 20;

export class TracefsView {
  readonly #directory: string;
  #made: Promise<void> | undefined;

  /** @param directory where it is mounted; its parent exists */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes it unless it is there. @returns its path. Rejects with SyscallError or an error of the file system. */
  async make(): Promise<string> {
    this.#made ??= isViewAt(this.#directory) ? Promise.resolve() : fillInParts(this.#directory);
    try {
      await this.#made;
    } catch (error) {
      this.remove();
      throw error;
    }
    return this.#directory;
  }

  remove(): void {
    this.#made = undefined;
    removeView(this.#directory);
  }
}

async function fillInParts(directory: string): Promise<void> {
  let count = 0;
  for (const _ of fillView(directory, allowedTracepoints)) if (++count % AT_ONCE === 0) await setImmediate();
}
