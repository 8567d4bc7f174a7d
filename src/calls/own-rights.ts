/**
 * The agent's own capabilities. It works without CAP_SYSLOG, since the kernel asks for
 * that in the credentials of whoever opened a BPF fd (kallsyms_show_value() in
 * kernel/ksyms_common.c): an fd opened here and handed out must not show addresses.
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
  /** The user namespace of the agent: init's, or there is no CAP_SYS_ADMIN that counts. */
  readonly userNs = namespaceInode('self', 'user');
  readonly #permitted = permittedCapabilities();
  readonly #usual = this.#permitted & ~CAP_SYSLOG;

  constructor() {
    setEffectiveCapabilities(this.#usual);
  }

  /** Runs `action` with the intersection of the agent's capabilities and `capabilities`. */
  lower<T>(capabilities: Capabilities, action: () => T): T {
    // The usual caller has CAP_BPF and not CAP_SYSLOG: what differs then is not asked for.
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
