/** What programs are confined with in tests: made-up maps and offsets. */
import type { KernelView, Scope } from '../../src/program/confine.js';

export const scope: Scope = {
  namespace: 7,
  tasks: { fd: 100, namespaceAt: 0 },
  namespaces: { fd: 101, ancestorAt: 40 },
};
export const kernel: KernelView = {
  userMode: { at: 136, mask: 3, ifSet: true },
  level: 1,
  groupLeader: 8,
  threadPid: 16,
  pidLevel: 4,
  pidNumbers: 96,
  numberSize: 16,
};
