/** Makes the kernel count runs and run time as long as somebody wants it. */
import type { RuntimeChoice } from '../control/usage.js';
import { enableRunTimeStatistics } from '../sys/bpf-usage.js';
import { close } from '../sys/libc.js';

export class RunTimeStatistics {
  readonly #choice: RuntimeChoice;
  #users = 0;
  #fd = -1;

  constructor(choice: RuntimeChoice) {
    this.#choice = choice;
    if (choice === 'always') this.hold();
  }

  /** Whether the kernel counts because of this process. */
  get isOn(): boolean {
    return this.#fd >= 0;
  }

  /** Starts counting. It continues until every caller has called the returned function, once. */
  hold(): () => void {
    this.#users++;
    // If the kernel refuses, run time is missing, and everything else works.
    if (this.#choice !== 'off' && this.#fd < 0) this.#fd = Math.max(-1, enableRunTimeStatistics());
    return () => {
      this.#users--;
      if (this.#users === 0) this.close();
    };
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}
