/** What the thread that loads programs is given, and what it answers. */
import type { Owner } from '../../../sys/foreign-fd.js';
import type { PidLayout } from '../../../sys/pid-layout.js';

/** Without an answer: what takes long and is the same for all programs is to be done now. */
export type WarmUp = 'warm-up';

export interface LoadRequest {
  readonly mode: 'own' | 'filtered';
  /** union bpf_attr as the caller passed it; its pointers are the caller's. */
  readonly attr: Uint8Array;
  readonly size: number;
  /** What those point to. */
  readonly code: Uint8Array;
  readonly license: Uint8Array;
  readonly functions: Uint8Array;
  readonly lines: Uint8Array;
  readonly relocations: Uint8Array;
  /** As much as can be read of the caller's fd_array. */
  readonly fdArray: Uint8Array;
  /** Bytes of log that the caller has room for; 0 for none. */
  readonly logRoom: number;
  /** A pidfd for the caller's fds, and the recorder's: open until the answer. */
  readonly thread: number;
  /** Of those fds. */
  readonly owner: Owner;
  readonly tasks: number;
  readonly namespaces: number;
  readonly actFor: number;
  readonly namespace: number;
  readonly level: number;
  /** struct bpfns_creator: whose the program is. */
  readonly creator: Uint8Array;
  /** How deep the PID namespace is whose ids the program is told. */
  readonly pidLevel: number;
  /** The same namespace: of its file in nsfs. */
  readonly pidNamespace: { readonly device: number; readonly inode: number };
}

export interface LoadAnswer {
  /** An fd, the receiver's to close, or -errno. */
  readonly result: number;
  /** What belongs into the caller's log, its end included; empty for nothing. */
  readonly log: Uint8Array;
  /** How long the log would be in full. */
  readonly logTrueSize: number;
  /** Why we refused it, not the kernel; '' if we did not. */
  readonly refusal: string;
}

/** Reads the offsets once. */
export type ReadLayout = () => PidLayout;
