/** Has the kernel count runs and run time for as long as somebody wants it. */
import type { RuntimeChoice } from '../control/usage.js';
import { enableRunTimeStatistics } from '../sys/bpf-usage.js';
import { close } from '../sys/libc.js';

export class RunTimeStatistics {
  readonly #choice: RuntimeChoice;
  #holders = 0;
  #fd = -1;

  constructor(choice: RuntimeChoice) {
    this.#choice = choice;
    if (choice === 'always') this.hold();
  }

  /** Whether the kernel counts on our account. */
  get isOn(): boolean {
    return this.#fd >= 0;
  }

  /** Counting goes on until everybody who got one of these has called it, once. */
  hold(): () => void {
    this.#holders++;
    // Where the kernel refuses there is no run time to show, and all else to show as ever.
    if (this.#choice !== 'off' && this.#fd < 0) this.#fd = Math.max(-1, enableRunTimeStatistics());
    return () => {
      this.#holders--;
      if (this.#holders === 0) this.close();
    };
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}
