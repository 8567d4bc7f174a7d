/**
 * The agent's own capabilities. The agent runs without CAP_SYSLOG: the kernel checks that
 * capability in the credentials of whoever opened a BPF fd (kallsyms_show_value() in
 * kernel/ksyms_common.c), and an fd that the agent opens for a guest must not show addresses.
 */
import {
  CAP_BPF,
  CAP_SYS_ADMIN,
  CAP_SYSLOG,
  type Capabilities,
  namespaceInode,
  permittedCapabilities,
  setEffectiveCapabilities,
} from '../sys/task.js';

export class OwnRights {
  /** The agent's user namespace. It is init's, as CAP_SYS_ADMIN would not count otherwise. */
  readonly userNs = namespaceInode('self', 'user');
  readonly #permitted = permittedCapabilities();
  readonly #usual = this.#permitted & ~CAP_SYSLOG;

  constructor() {
    setEffectiveCapabilities(this.#usual);
  }

  /** Runs `action` with the intersection of the agent's capabilities and `capabilities`. */
  lower<T>(capabilities: Capabilities, action: () => T): T {
    // A typical caller has CAP_BPF and not CAP_SYSLOG. The remaining difference is not checked by
    // the kernel.
    const isCapable = (capabilities & (CAP_BPF | CAP_SYS_ADMIN)) !== 0n;
    if (isCapable && (capabilities & CAP_SYSLOG) === 0n) return action();
    return this.#with(capabilities & this.#permitted, action);
  }

  /** Runs `action` with exactly these of the agent's capabilities. */
  exactly<T>(capabilities: Capabilities, action: () => T): T {
    return this.#with(capabilities & this.#permitted, action);
  }

  withSyslog<T>(action: () => T): T {
    return this.#with(this.#permitted, action);
  }

  #with<T>(effective: Capabilities, action: () => T): T {
    setEffectiveCapabilities(effective);
    try {
      return action();
    } finally {
      setEffectiveCapabilities(this.#usual);
    }
  }
}
