/**
 * The agent's own capabilities. The agent runs without CAP_SYSLOG: the kernel checks that
 * capability in the credentials of whoever opened a BPF fd (kallsyms_show_value() in
 * kernel/ksyms_common.c), and an fd that the agent opens for a guest must not show addresses.
 */
import {
  CAP_SYSLOG,
  type Capabilities,
  namespaceInode,
  permittedCapabilities,
  type Rights,
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

  /** Runs `action` with the intersection of the agent's capabilities and the caller's. */
  lower<T>(caller: Rights, action: () => T): T {
    // A typical caller has CAP_BPF and not CAP_SYSLOG. The remaining difference is not checked by
    // the kernel.
    if (caller.mayBpf && !caller.maySyslog) return action();
    return this.#with(caller.capabilities & this.#permitted, action);
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
